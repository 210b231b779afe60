/**
 * `npm test`: every suite of vitest.config.ts, then the plain line `N passed, N failed`. Fails when a test fails or is skipped,
 * when a file cannot be loaded, and when a suite ran no test: a suite that silently stopped running proves nothing.
 * Arguments are file filters (`npm test -- core/price`); then only the suites that match must run.
 */
import type { TestModule } from "vitest/node";
import { startVitest } from "vitest/node";

const filters = process.argv.slice(2);

const vitest = await startVitest("test", filters, { run: true, watch: false });
const modules = vitest.state.getTestModules();
const unhandled = vitest.state.getUnhandledErrors();

const failures: string[] = unhandled.map((error) => `Error outside of any test: ${String(error)}`);
let passed = 0;
for (const module of modules) {
  const [passedHere, problems] = outcome(module);
  passed += passedHere;
  failures.push(...problems);
}
if (filters.length === 0) {
  const ran = new Set(modules.filter((module) => outcome(module)[0] > 0).map((module) => module.project.name));
  for (const { name } of vitest.projects) if (!ran.has(name)) failures.push(`Suite "${name}" ran no test.`);
}
if (passed === 0 && failures.length === 0) failures.push("No test ran.");

await vitest.close();
if (failures.length > 0) console.log(`\n${failures.map((failure) => `  ✗ ${failure}`).join("\n")}\n`);
console.log(`${passed} passed, ${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);

function outcome(module: TestModule): [passed: number, problems: string[]] {
  const problems = module.errors().map((error) => `${module.relativeModuleId}: ${error.message}`);
  let passedHere = 0;
  for (const suite of module.children.allSuites()) {
    for (const error of suite.errors())
      problems.push(`${module.relativeModuleId} > ${suite.fullName}: ${error.message}`);
  }
  for (const test of module.children.allTests()) {
    const { state } = test.result();
    if (state === "passed") passedHere++;
    else problems.push(`${module.relativeModuleId} > ${test.fullName} (${state})`);
  }
  return [passedHere, problems];
}
