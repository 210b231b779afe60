/**
 * Corrections: decided in the object that the name leads to now. Events from before a subject changed hands stayed with its customer of
 * then, whose id finds them.
 */
import { parseInstant } from "../../../core/instant";
import type { CorrectionView } from "../../../durable-objects/rpc";
import { EVENT_BYTES_MAX } from "../../../schema/contract/events";
import { corrections } from "../../../schema/contract/corrections";
import { requireCustomer } from "../../customers";
import { drained } from "../../drain";
import { implement, type Ask } from "../app";
import { invalid } from "../problem";
import { EVENT_TOO_LARGE, isLongerThan } from "../read-events";
import { walletView } from "./wallets";

interface Target {
  subject: string;
  source: string;
  id: string;
  reason: string;
}

async function correct(
  {
    context,
    principal,
    idempotencyKey,
    fingerprint,
  }: Pick<Ask, "context" | "idempotencyKey" | "fingerprint"> & { principal: Ask<typeof corrections.void>["principal"] },
  { subject, source, id, reason }: Target,
  version: { dataJson?: string; time?: number } | null,
) {
  const corrected: CorrectionView = await requireCustomer(
    context,
    principal,
    subject,
    drained(context, (object, call) =>
      object.correct(call, {
        source,
        id,
        reason,
        version,
        opId: idempotencyKey && `key ${idempotencyKey}`,
        bodyHash: fingerprint ?? "",
      }),
    ),
  );
  const { before, after, adjustment, unrated, wallet } = corrected;
  return {
    status: 200 as const,
    body: {
      subject: corrected.subject,
      source,
      id,
      status: version === null ? ("voided" as const) : ("amended" as const),
      cost: { before, after },
      adjustment,
      unrated,
      wallet: walletView(wallet),
    },
  };
}

export const correctionRoutes = implement<typeof corrections>(corrections, {
  void: (ask) => correct(ask, ask.body, null),

  amend(ask) {
    const { data, time } = ask.body;
    const dataJson = data === undefined ? undefined : JSON.stringify(data);
    if (dataJson !== undefined && isLongerThan(dataJson, EVENT_BYTES_MAX))
      throw invalid([{ field: "data", message: EVENT_TOO_LARGE }]);
    const at = parseInstant(time ?? "");
    return correct(ask, ask.body, { ...(dataJson !== undefined && { dataJson }), ...(at !== null && { time: at }) });
  },
});
