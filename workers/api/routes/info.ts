/** What a caller may look up beside its own data. */
import { currencies } from "../../../core/currency";
import { formatInstant } from "../../../core/instant";
import { info } from "../../../schema/contract/info";
import { findProgress } from "../../../store/progress";
import { implement } from "../app";
import { notFound } from "../problem";

export const infoRoutes = implement<typeof info>(info, {
  currencies: () => ({ status: 200, body: [...currencies()] }),

  async progress({ context, principal, params }) {
    const progress = await findProgress(context.store, principal.namespaceId, params.id, context.now());
    if (progress === null) throw notFound("a query with this clientId");
    return { status: 200, body: { ...progress, updatedAt: formatInstant(progress.updatedAt) } };
  },
});
