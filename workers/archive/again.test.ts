import { expect, it } from "vitest";
import { ratingMessage } from "../../schema/messages";
import { applyRating } from "../../store/apply-rating";
import { listUnarchived } from "../../store/archive";
import { jobs } from "../cron";
import { newTenant, someEvent, startWorker } from "../harness";
import { deliver, keysBelow, ship, subjectObject, watch } from "./harness";

it("what a local queue lost when it was killed is in the archive some minutes later, without a gap", async () => {
  const worker = startWorker();
  const tenant = await newTenant(worker);
  const object = subjectObject(tenant, "acme");
  await watch(object);
  const record = async (id: string) =>
    expect(
      await worker.call("POST", "/api/v1/events", { key: tenant.apiKey, body: [someEvent({ id, subject: "acme" })] }),
    ).toMatchObject({ status: 204 });
  await record("filed");
  await deliver(worker, await ship(object));
  await record("lost");
  expect(await ship(object)).toHaveLength(1);
  const { messages } = await worker.context().customer(object).drain({
    namespaceId: tenant.id,
    name: "acme",
    configVersion: 0,
  });
  await applyRating(
    worker.context().store,
    messages.map((message) => ratingMessage.parse(message)),
  );

  const everyMinute = () => jobs["* * * * *"]!(worker.context(), Date.UTC(2026, 10, 21, 9, 15));
  await everyMinute();
  expect(await ship(object)).toEqual([]);
  worker.advance(3 * 60_000);
  await everyMinute();
  const again = await ship(object);
  expect(again).toHaveLength(1);
  await deliver(worker, again);
  expect(await listUnarchived(worker.context().store, tenant.id, 10)).toEqual([]);
  expect(await keysBelow(`events/namespace=${tenant.id}/`)).toHaveLength(2);
  // Nothing is left to be asked for.
  await everyMinute();
  expect(await ship(object)).toEqual([]);
});
