/**
 * What every driver of the shared store must pass: the same promises on D1 and on Postgres through the Neon driver.
 * Each test lives in namespaces of its own, so nothing is cleaned up between tests and the order does not matter.
 */
import { afterEach, beforeEach, describe } from "vitest";
import type { Store } from "./store";
import { accessSuite } from "./suite/access";
import { archiveSuite } from "./suite/archive";
import { configSuite } from "./suite/config";
import { customerSuite } from "./suite/customers";
import { featureSuite } from "./suite/features";
import { portalTokenSuite } from "./suite/portal-tokens";
import { projectionSuite } from "./suite/projections";
import { requestSuite } from "./suite/requests";
import { rollupQuerySuite } from "./suite/rollup-query";
import { totalsSuite } from "./suite/totals";

/** A schedule of many batches takes 2 s on two busy cores; the runner's own 5 s would fail on a slower machine. */
const TEST_MS_MAX = 30_000;

export function storeSuite(driver: string, open: () => Store): void {
  describe(`the shared store on ${driver}`, { timeout: TEST_MS_MAX }, () => {
    let store: Store;
    beforeEach(() => {
      store = open();
    });
    afterEach(() => store.close());

    describe("access", () => accessSuite(() => store));
    describe("configuration", () => configSuite(() => store));
    describe("customers and subjects", () => customerSuite(() => store));
    describe("a feature", () => featureSuite(() => store));
    describe("a portal token", () => portalTokenSuite(() => store));
    describe("projections", () => projectionSuite(() => store));
    describe("the archive's index", () => archiveSuite(() => store));
    describe("totals", () => totalsSuite(() => store));
    describe("queries of a namespace", () => rollupQuerySuite(() => store));
    describe("requests and dead letters", () => requestSuite(() => store));
  });
}
