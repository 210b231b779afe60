/** Wallets: read and changed in the customer's own object; what changes is in the store's lists before the answer leaves. */
import { formatDecimal } from "../../../core/decimal";
import { formatInstant, parseInstant } from "../../../core/instant";
import type { GrantView, TransactionView, WalletView } from "../../../durable-objects/rpc";
import { wallets } from "../../../schema/contract/wallets";
import { requireCustomer } from "../../customers";
import { drained } from "../../drain";
import { implement, JSON_HEADERS } from "../app";
import { readAmount } from "../decimal-field";
import { listReply, pageRequest } from "../page";

export const walletView = ({ lastTransaction, ...wallet }: WalletView) => ({
  ...wallet,
  lastTransaction: lastTransaction && { ...lastTransaction, timestamp: formatInstant(lastTransaction.timestamp) },
});

const orNull = (ms: number | null): string | null => (ms === null ? null : formatInstant(ms));

const grantView = ({ effectiveAt, expiresAt, createdAt, voidedAt, ...grant }: GrantView) => ({
  ...grant,
  effectiveAt: formatInstant(effectiveAt),
  expiresAt: orNull(expiresAt),
  createdAt: formatInstant(createdAt),
  voidedAt: orNull(voidedAt),
});

const transactionView = ({ timestamp, ...transaction }: TransactionView) => ({
  ...transaction,
  timestamp: formatInstant(timestamp),
});

export const walletRoutes = implement<typeof wallets>(wallets, {
  async get({ context, principal, params }) {
    const { wallet } = await requireCustomer(context, principal, params.customer, (object, call) =>
      object.wallet(call),
    );
    return new Response(JSON.stringify(walletView(wallet)), { headers: JSON_HEADERS });
  },

  async patch({ context, principal, params, body }) {
    const { overdraftLimit, ...terms } = body;
    const patch = {
      ...terms,
      ...(overdraftLimit !== undefined && {
        overdraftLimit: formatDecimal(readAmount("overdraftLimit", overdraftLimit, 0n)),
      }),
    };
    const { wallet } = await requireCustomer(
      context,
      principal,
      params.customer,
      drained(context, (object, call) => object.patchWallet(call, patch)),
    );
    return { status: 200, body: walletView(wallet) };
  },

  async grant({ context, principal, params, body, idempotencyKey }) {
    const { id = null, kind, priority = 0, reason = kind, currency = null } = body;
    const asked = {
      amount: formatDecimal(readAmount("amount", body.amount, 1n)),
      currency,
      kind,
      priority,
      effectiveAt: readInstant(body.effectiveAt),
      expiresAt: readInstant(body.expiresAt),
      reason,
    };
    const bodyHash = context.sha256(JSON.stringify([id, asked]));
    const opId = idempotencyKey !== null ? `key ${idempotencyKey}` : id !== null ? `grant ${id}` : context.newId();
    const { grant } = await requireCustomer(
      context,
      principal,
      params.customer,
      drained(context, (object, call) => object.grant(call, { id, opId, bodyHash, ...asked })),
    );
    return { status: 201, body: grantView(grant) };
  },

  async grants({ context, principal, params, query }) {
    return listReply(
      await requireCustomer(context, principal, params.customer, (object, call) =>
        object.grants(call, pageRequest(query)),
      ),
      grantView,
    );
  },

  async voidGrant({ context, principal, params }) {
    const { grant } = await requireCustomer(
      context,
      principal,
      params.customer,
      drained(context, (object, call) => object.voidGrant(call, params.grantId)),
    );
    return { status: 200, body: grantView(grant) };
  },

  async transactions({ context, principal, params, query }) {
    const page = await requireCustomer(context, principal, params.customer, (object, call) =>
      object.transactions(call, pageRequest(query)),
    );
    return listReply(page, transactionView);
  },

  async verify({ context, principal, params }) {
    // Each slice is bounded work for the object, so that other calls get in between; the journal is finite, so is the loop.
    let from: string | null = null;
    for (;;) {
      const slice: {
        valid: boolean;
        entries: number;
        balance: string;
        head: string;
        next: string | null;
        detail: string | null;
      } = await requireCustomer(context, principal, params.customer, (object, call) => object.verify(call, from));
      if (slice.next === null || !slice.valid) {
        const { valid, entries, balance, head, detail } = slice;
        return { status: 200, body: { valid, entries, balance, head, ...(detail !== null && { detail }) } };
      }
      from = slice.next;
    }
  },
});

/** The contract has checked what is there. */
const readInstant = (text: string | null | undefined): number | null => parseInstant(text ?? "");
