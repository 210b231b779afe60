import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildSdk } from "./build-sdk";

let outDir: string;
beforeAll(() => {
  outDir = mkdtempSync(join(tmpdir(), "tollgate-sdk-"));
  buildSdk(outDir);
});
afterAll(() => rmSync(outDir, { recursive: true, force: true }));

describe("the published SDK", () => {
  it("imports nothing but itself, so that it runs wherever fetch runs", () => {
    const files = readdirSync(outDir);
    expect(files).toContain("index.js");
    expect(files).toContain("index.d.ts");
    for (const file of files) {
      const imports = [...readFileSync(join(outDir, file), "utf8").matchAll(/(?:from|import)\s*\(?"([^"]+)"/g)];
      for (const [, specifier] of imports) expect(files).toContain(specifier?.replace("./", ""));
    }
  });

  it("holds neither tests nor their doubles", () => {
    expect(readdirSync(outDir).filter((file) => /test|double/.test(file))).toEqual([]);
  });

  it("loads as plain ES modules, and exports the client and its errors", () => {
    const script = `import * as sdk from ${JSON.stringify(join(outDir, "index.js"))};
      console.log(new sdk.Tollgate({ apiKey: "k" }) instanceof sdk.Tollgate, typeof sdk.InsufficientCreditsError);`;
    const said = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
    expect(said.trim()).toBe("true function");
  });

  it("is named and entered as its package.json says", () => {
    const text = readFileSync(join(import.meta.dirname, "../sdk/package.json"), "utf8");
    const { name, exports } = JSON.parse(text) as { name: string; exports: { ".": { [condition: string]: string } } };
    expect(name).toBe("@tollgate/sdk");
    for (const file of Object.values(exports["."])) expect(readdirSync(outDir)).toContain(file.replace("./dist/", ""));
  });
});
