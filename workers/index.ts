/** The Worker's doors: requests, queues, cron, and the two object classes. Each is a map elsewhere; here is only the wiring. */
import { Clock } from "../durable-objects/clock";
import { Customer } from "../durable-objects/customer";
import { createApp } from "./api/app";
import { routes } from "./api/routes";
import { compose, type Context } from "./context";
import { jobs } from "./cron";
import { consumers } from "./queue";

export { Clock, Customer };

const app = createApp(routes, compose);

export default {
  fetch: (request, env, lifetime) => app.fetch(request, env, lifetime),
  queue: (batch, env, lifetime) =>
    run(consumers, batch.queue, compose(env, lifetime), (consume, context) => consume(batch, context)),
  scheduled: (event, env, lifetime) =>
    run(jobs, event.cron, compose(env, lifetime), (job, context) => job(context, event.scheduledTime)),
} satisfies ExportedHandler<Env>;

async function run<J>(
  map: Record<string, J>,
  name: string,
  context: Context,
  start: (job: J, context: Context) => Promise<void>,
): Promise<void> {
  const job = map[name];
  if (job === undefined) throw new Error(`nothing here is called ${name}; see wrangler.toml`);
  try {
    await start(job, context);
  } finally {
    context.close();
  }
}
