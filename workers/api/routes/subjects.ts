/** Subjects: what people say of them. Their usage, and whose it is, is told elsewhere. */
import { formatInstant, parseInstant } from "../../../core/instant";
import { subjects } from "../../../schema/contract/subjects";
import { isRepeat } from "../../../store/idempotency";
import {
  deleteSubject,
  findSubject,
  listSubjects,
  newSubject,
  saveSubjects,
  subjectsAmong,
  type SubjectChange,
  type SubjectRow,
} from "../../../store/subjects";
import type { Context } from "../../context";
import { sandboxTime } from "../../customers";
import { implement } from "../app";
import type { Principal } from "../auth";
import { once } from "../idempotency";
import { notFound, Problem, tryAgain } from "../problem";

const SUBJECTS_PER_READ = 1_000;
/** Some 50 MB of an isolate's 128. */
const SUBJECTS_LISTED_MAX = 100_000;
const ATTEMPTS_MAX = 5;

const view = (row: SubjectRow) => ({
  id: row.id,
  key: row.key,
  ...(row.displayName !== null && { displayName: row.displayName }),
  metadata: row.metadata ?? {},
  ...(row.currentPeriodStart !== null && { currentPeriodStart: formatInstant(row.currentPeriodStart) }),
  ...(row.currentPeriodEnd !== null && { currentPeriodEnd: formatInstant(row.currentPeriodEnd) }),
  ...(row.stripeCustomerId !== null && { stripeCustomerId: row.stripeCustomerId }),
  createdAt: formatInstant(row.createdAt),
  updatedAt: formatInstant(row.updatedAt),
  ...(row.deletedAt !== null && { deletedAt: formatInstant(row.deletedAt) }),
});

const nowOf = (context: Context, { kind, namespaceId }: Principal): number | Promise<number> =>
  kind === "live" ? context.now() : sandboxTime(context, namespaceId);

/** All of them: OpenMeter's list has no pages. */
async function everySubject({ store }: Context, namespaceId: string): Promise<SubjectRow[]> {
  const rows: SubjectRow[] = [];
  for (;;) {
    const afterId = rows.at(-1)?.id ?? null;
    const read = await listSubjects(store, namespaceId, { afterId, limit: SUBJECTS_PER_READ });
    rows.push(...read);
    if (read.length < SUBJECTS_PER_READ) return rows;
    if (rows.length >= SUBJECTS_LISTED_MAX)
      throw new Problem(422, `there are more than ${SUBJECTS_LISTED_MAX} subjects; read them one by one`, {
        code: "at-bound",
      });
  }
}

export const subjectRoutes = implement<typeof subjects>(subjects, {
  async list({ context, principal }) {
    return { status: 200, body: (await everySubject(context, principal.namespaceId)).map(view) };
  },

  upsert: (ask) =>
    once(ask, subjects.upsert, async (remember) => {
      const { context, principal, body } = ask;
      const { store } = context;
      const { namespaceId } = principal;
      const now = await nowOf(context, principal);
      for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
        const known = await subjectsAmong(
          store,
          namespaceId,
          body.map(({ key }) => key),
        );
        const made = new Map<string, SubjectRow>();
        const changed = new Map<string, { id: string; change: SubjectChange }>();
        const rows = body.map(({ key, ...said }) => {
          const change = changeOf(said);
          const before = made.get(key) ?? known.get(key);
          const row: SubjectRow =
            before === undefined
              ? newSubject(namespaceId, context.newId(), key, now, change)
              : { ...before, ...change, updatedAt: now };
          if (known.has(key)) {
            known.set(key, row);
            changed.set(key, { id: row.id, change: { ...changed.get(key)?.change, ...change } });
          } else made.set(key, row);
          return row;
        });
        const reply = { status: 200 as const, body: rows.map(view) };
        const saved = await saveSubjects(
          store,
          namespaceId,
          [...made.values()],
          [...changed.values()],
          now,
          remember(reply),
        );
        if (saved.ok) return reply;
        if (isRepeat(saved.refusal)) return null;
      }
      throw tryAgain("these subjects are being changed by others; try again");
    }),

  async get({ context, principal, params }) {
    const row = await findSubject(context.store, principal.namespaceId, params.subjectIdOrKey);
    if (row === null) throw notFound("this subject");
    return { status: 200, body: view(row) };
  },

  async delete({ context, principal, params }) {
    const row = await findSubject(context.store, principal.namespaceId, params.subjectIdOrKey);
    if (row === null) throw notFound("this subject");
    await deleteSubject(context.store, principal.namespaceId, row.id, await nowOf(context, principal));
    return { status: 204 };
  },
});

interface Said {
  displayName?: string | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
  stripeCustomerId?: string | null | undefined;
  currentPeriodStart?: string | undefined;
  currentPeriodEnd?: string | undefined;
}

/** What was said; null forgets, what was left out stays. */
const changeOf = ({ currentPeriodStart, currentPeriodEnd, ...said }: Said): SubjectChange => ({
  ...(said.displayName !== undefined && { displayName: said.displayName }),
  ...(said.metadata !== undefined && { metadata: said.metadata }),
  ...(said.stripeCustomerId !== undefined && { stripeCustomerId: said.stripeCustomerId }),
  ...(currentPeriodStart !== undefined && { currentPeriodStart: parseInstant(currentPeriodStart) }),
  ...(currentPeriodEnd !== undefined && { currentPeriodEnd: parseInstant(currentPeriodEnd) }),
});
