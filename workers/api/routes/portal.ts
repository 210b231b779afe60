/** What is asked with a portal token: the usage of the subject that it names, and nobody else's. */
import { portal } from "../../../schema/contract/portal";
import type { Tenant } from "../../customers";
import { queryMeter } from "../../meter-query";
import { admitPortalToken } from "../../portal-tokens";
import { implement } from "../app";
import { refused } from "../auth";
import { queryReply, queryRequest } from "../meter-query";
import { liveMeter } from "./meters";

export const portalRoutes = implement<typeof portal>(portal, {
  async query({ context, params, query, request }) {
    const { subject, meterSlugs, ...tenant } = await admitPortalToken(context, request);
    if (meterSlugs !== null && !meterSlugs.includes(params.meterSlug))
      throw refused("this portal token does not open this meter");
    const meter = await liveMeter(context, tenant.namespaceId, params.meterSlug);
    const asked = { ...queryRequest(query), subjects: [subject], customerIds: null };
    return queryReply(request, meter.key, await queryMeter(context, tenant satisfies Tenant, meter, asked));
  },
});
