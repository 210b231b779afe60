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

export function storeSuite(driver: string, open: () => Store): void {
  describe(`the shared store on ${driver}`, () => {
    let store: Store;
    beforeEach(() => {
      store = open();
    });
    afterEach(() => store.close());

    describe("access", () => accessSuite(() => store));
    describe("configuration", () => configSuite(() => store));
    describe("projections", () => projectionSuite(() => store));
    describe("requests and dead letters", () => requestSuite(() => store));
  });
}
