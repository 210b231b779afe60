/** docs/guarantees.md against the sources: a promise whose test was renamed or removed is no promise. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createVitest } from "vitest/node";

const ROOT = join(import.meta.dirname, "..");
const SEPARATOR = " › ";

interface Row {
  promise: string;
  tests: string[];
  limit: string;
}

/** The rows of all tables. */
function readRows(markdown: string): Row[] {
  const lines = markdown.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| promise |"));
  return lines.map((line) => {
    const [promise = "", tests = "", limit = ""] = line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim());
    return { promise, tests: tests === "" ? [] : tests.split("<br>"), limit };
  });
}

/** `path › full name` of a link to the path and the name beside it; null when it is something else. */
function readReference(cell: string): { path: string; name: string } | null {
  const [, path, target, name] = /^\[(.+?)\]\((.+?)\) › (.+)$/.exec(cell) ?? [];
  return path !== undefined && name !== undefined && target === `../${path}` ? { path, name } : null;
}

/** The full names of a file's tests, as vitest finds them in its source without running it. */
async function testsIn(paths: string[]): Promise<Map<string, Set<string>>> {
  const vitest = await createVitest("test", { config: false, root: ROOT, watch: false });
  try {
    const project = vitest.getRootProject();
    const modules = await vitest.parseSpecifications(
      paths.map((path) => project.createSpecification(join(ROOT, path))),
    );
    return new Map(
      modules.map((module) => {
        const names = new Set<string>();
        for (const test of module.children.allTests()) {
          if (test.options.mode !== "run") continue;
          const name = [test.name];
          for (let above = test.parent; above.type === "suite"; above = above.parent) name.unshift(above.name);
          names.add(name.join(SEPARATOR));
        }
        return [module.moduleId.slice(ROOT.length + 1), names];
      }),
    );
  } finally {
    await vitest.close();
  }
}

describe("docs/guarantees.md", () => {
  const rows = readRows(readFileSync(join(ROOT, "docs", "guarantees.md"), "utf8"));

  it("has a test, a promise in a sentence and an honest limit in every row", () => {
    expect(rows.length).toBeGreaterThan(50);
    for (const { promise, tests, limit } of rows) {
      expect(promise).toMatch(/^\S.+\.$/);
      expect(limit, promise).toMatch(/^(–|\S.+\.)$/);
      expect(tests, promise).not.toEqual([]);
    }
    expect(new Set(rows.map(({ promise }) => promise)).size).toBe(rows.length);
  });

  it("names no test that does not exist", async () => {
    const named = rows.flatMap(({ tests }) => tests).map((cell) => readReference(cell) ?? { path: cell, name: "" });
    const paths = [...new Set(named.map(({ path }) => path))];
    expect(paths.filter((path) => !existsSync(join(ROOT, path)) || !/\.test\.ts$|^store\/suite\//.test(path))).toEqual(
      [],
    );
    const found = await testsIn(paths);
    expect(named.filter(({ path, name }) => !found.get(path)?.has(name))).toEqual([]);
  });

  it("takes a test of a suite only where both databases run that suite", () => {
    const suites = rows.flatMap(({ tests }) => tests).filter((cell) => cell.startsWith("[store/suite/"));
    expect(suites).not.toEqual([]);
    for (const [file, driver] of [
      ["store/d1.test.ts", "D1"],
      ["store/postgres.test.ts", "Postgres"],
    ] as const)
      expect(readFileSync(join(ROOT, file), "utf8")).toContain(`storeSuite("${driver}"`);
    const suite = readFileSync(join(ROOT, "store", "suite.ts"), "utf8");
    for (const cell of suites) expect(suite).toContain(`"./suite/${/suite\/([a-z-]+)\.ts/.exec(cell)![1]}"`);
  });
});
