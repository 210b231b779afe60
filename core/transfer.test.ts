/** Two wallets become one: nothing is made, nothing is lost. */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { Grant } from "./grant";
import { moveIn, moveOut } from "./transfer";
import { addGrant, debit, emptyWallet, settle, voidGrant, type Wallet } from "./wallet";

const step = fc.oneof(
  fc.record({
    do: fc.constant("grant" as const),
    amount: fc.integer({ min: 1, max: 100 }),
    priority: fc.nat(2),
    from: fc.nat(20),
    lives: fc.option(fc.integer({ min: 1, max: 30 })),
  }),
  fc.record({ do: fc.constant("debit" as const), amount: fc.nat(150) }),
  fc.record({ do: fc.constant("void" as const), which: fc.nat(5) }),
  fc.record({ do: fc.constant("time" as const), by: fc.nat(10) }),
);

/** A wallet with this past, and the time by then. */
function lived(steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[], prefix: string) {
  const wallet = emptyWallet();
  let now = 0;
  for (const s of steps) {
    settle(wallet, now);
    if (s.do === "time") now += s.by;
    else if (s.do === "debit") debit(wallet, BigInt(s.amount), { reason: "usage", timestamp: now });
    else if (s.do === "void") {
      const grant = [...wallet.grants.values()][s.which];
      if (grant && grant.voidedAt === null) voidGrant(wallet, grant, now);
    } else {
      const order = wallet.grants.size;
      const effectiveAt = now + s.from;
      addGrant(wallet, {
        id: `${prefix}${order}`,
        amount: BigInt(s.amount),
        remaining: 0n,
        kind: "paid",
        priority: s.priority,
        effectiveAt,
        expiresAt: s.lives && effectiveAt + s.lives,
        reason: "top up",
        createdAt: now,
        order,
        activated: false,
        voidedAt: null,
      });
    }
  }
  settle(wallet, now);
  return { wallet, now };
}

const held = ({ grants }: Wallet): bigint => [...grants.values()].reduce((sum, { remaining }) => sum + remaining, 0n);
const copies = ({ grants }: Wallet): Grant[] => [...grants.values()].map((grant) => ({ ...grant }));

it("what leaves one wallet enters the other, and neither owes while it holds credits", () => {
  const steps = fc.array(step, { maxLength: 15 });
  fc.assert(
    fc.property(steps, steps, (here, there) => {
      const [home, source] = [lived(here, "h").wallet, lived(there, "s")];
      const before = home.balance + source.wallet.balance;
      const arriving = copies(source.wallet);
      const came = moveIn(home, arriving, source.wallet.owed, source.now);
      const went = moveOut(source.wallet, source.now);
      expect(came?.amount ?? 0n).toBe(-(went?.amount ?? 0n));
      expect([source.wallet.balance, source.wallet.owed, held(source.wallet)]).toEqual([0n, 0n, 0n]);
      expect(home.balance).toBe(before);
      expect(home.balance).toBe(held(home) - home.owed);
      expect(home.owed === 0n || held(home) === 0n).toBe(true);
      // What falls due later falls due in the home: grants that have not taken effect do, and those that expire do.
      for (const { id, activated, voidedAt } of arriving)
        expect(home.grants.get(id)).toMatchObject({ activated, voidedAt });
      settle(home, 1_000);
      expect([...home.grants.values()].every((grant) => grant.activated || grant.voidedAt !== null)).toBe(true);
      expect(home.balance).toBe(held(home) - home.owed);
    }),
  );
});
