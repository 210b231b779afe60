/** What features' usage costs. The query is a meter's; prices and sums are feature-cost.ts's business. */
import { COST_CURRENCY, type CostRow } from "../../../core/feature-cost";
import { formatInstant } from "../../../core/instant";
import { formatQuantity } from "../../../core/quantity";
import { featureCosts } from "../../../schema/contract/features";
import { sandboxTime } from "../../customers";
import { queryFeatureCost } from "../../feature-cost";
import { implement } from "../app";
import { queryRequest } from "../meter-query";
import { liveFeature } from "./features";

export const featureCostRoutes = implement<typeof featureCosts>(featureCosts, {
  async query({ context, principal, params, body }) {
    const { namespaceId, kind } = principal;
    const feature = await liveFeature(context, namespaceId, params.featureId);
    const now = kind === "sandbox" ? await sandboxTime(context, namespaceId) : context.now();
    const { query, rows } = await queryFeatureCost(context, principal, feature, queryRequest(body), now);
    const { from, to, windowSize } = query;
    return {
      status: 200,
      body: {
        ...(from !== null && { from: formatInstant(from) }),
        ...(to !== null && { to: formatInstant(to) }),
        ...(windowSize !== null && { windowSize }),
        data: rows.map(view),
      },
    };
  },
});

const view = ({ usage, cost, detail, windowStart, windowEnd, subject, customerId, groupBy }: CostRow) => ({
  usage: formatQuantity(usage),
  cost: cost === null ? null : formatQuantity(cost),
  currency: COST_CURRENCY,
  ...(detail !== null && { detail }),
  windowStart: formatInstant(windowStart),
  windowEnd: formatInstant(windowEnd),
  subject,
  ...(customerId !== undefined && { customerId }),
  groupBy,
});
