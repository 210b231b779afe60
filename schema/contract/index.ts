/** The whole contract: every resource, by name. The router mounts it, openapi.json prints it, the route-walking tests walk it. */
import { apiKeys } from "./api-keys";
import { audits } from "./audits";
import { burnTables } from "./burn-tables";
import { clock } from "./clock";
import { corrections } from "./corrections";
import { customers } from "./customers";
import { deadLetters } from "./dead-letters";
import { debug } from "./debug";
import { eventLists } from "./event-lists";
import { events } from "./events";
import { featureCosts, features } from "./features";
import { info } from "./info";
import { meters } from "./meters";
import { namespaces } from "./namespaces";
import { otlp } from "./otlp";
import { portal, portalTokens } from "./portal";
import { status } from "./status";
import { subjects } from "./subjects";
import { system } from "./system";
import { track } from "./track";
import { wallets } from "./wallets";

export const contract = {
  system,
  namespaces,
  apiKeys,
  clock,
  events,
  otlp,
  eventLists,
  track,
  corrections,
  meters,
  features,
  featureCosts,
  customers,
  subjects,
  portalTokens,
  portal,
  burnTables,
  wallets,
  deadLetters,
  audits,
  status,
  info,
  debug,
} as const;
