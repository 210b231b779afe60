/** Namespaces: opened with their first key, listed and closed by the operator. */
import { formatInstant } from "../../../core/instant";
import { namespaces } from "../../../schema/contract/namespaces";
import { SCOPES } from "../../../schema/contract/route";
import { insertApiKey } from "../../../store/api-keys";
import { isRepeat } from "../../../store/idempotency";
import {
  closeNamespace,
  findNamespace,
  insertNamespace,
  listNamespaces,
  type NewNamespace,
} from "../../../store/namespaces";
import { implement } from "../app";
import { once } from "../idempotency";
import { newApiKey } from "../new-key";
import { notFound, Problem } from "../problem";
import { pageRequest, listReply } from "../page";

const view = ({ id, key, kind, createdAt }: NewNamespace) => ({ id, key, kind, createdAt: formatInstant(createdAt) });

export const namespaceRoutes = implement<typeof namespaces>(namespaces, {
  create: (ask) =>
    once(ask, namespaces.create, async (remember) => {
      const { context, body } = ask;
      const { store } = context;
      const namespace: NewNamespace = { id: context.newId(), key: body.key, kind: body.kind, createdAt: context.now() };
      const { key, row } = newApiKey(context, { name: "first key", scopes: SCOPES, expiresAt: null });
      const reply = { status: 201 as const, body: { ...view(namespace), apiKey: key } };
      const made = await store.batch([
        insertNamespace(store, namespace),
        insertApiKey(store, namespace.id, row),
        ...remember(reply),
      ]);
      if (made.ok) return reply;
      if (isRepeat(made.refusal)) return null;
      throw new Problem(409, `the namespace key "${body.key}" is taken; choose another`);
    }),

  async list({ context, query }) {
    return listReply(await listNamespaces(context.store, pageRequest(query)), view);
  },

  async close({ context, params }) {
    const namespace = await findNamespace(context.store, params.idOrKey);
    if (namespace === null || namespace.closedAt !== null) throw notFound("this namespace");
    await closeNamespace(context.store, namespace.id, context.now());
    context.caches.principals.deleteWhere(({ namespaceId }) => namespaceId === namespace.id);
    return { status: 204 };
  },
});
