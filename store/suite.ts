/**
 * What every driver of the shared store must pass: the same promises on D1 and on Postgres through the Neon driver.
 * Each test lives in namespaces of its own, so nothing is cleaned up between tests and the order does not matter.
 */
import { afterEach, beforeEach, describe } from "vitest";
import type { Store } from "./store";
import { accessSuite } from "./suite/access";
import { configSuite } from "./suite/config";
import { projectionSuite } from "./suite/projections";
import { requestSuite } from "./suite/requests";
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
    describe("projections", () => projectionSuite(() => store));
    describe("totals", () => totalsSuite(() => store));
    describe("requests and dead letters", () => requestSuite(() => store));
  });
}
