/**
 * The shared database, written once over the column kit and built twice: for D1 and for Neon.
 * Every table but `namespaces` and `dead_letters` begins with the namespace. Ids are ULIDs as text, moments epoch milliseconds,
 * money and quantities canonical text. A table marked PROJECTION is a copy of what customer objects own: it may be dropped and rebuilt.
 *
 * On D1 each table is WITHOUT ROWID (scripts/generate.ts adds it), so the primary key is the table and an insert is one row
 * write; each index costs one more, so there are few.
 */
import { sql } from "drizzle-orm";
import { pgKit, sqliteKit, type Kit } from "./columns";

export type NamespaceKind = "live" | "sandbox";
export type Resolution = "minute" | "quarter";
export type WalletStatus = "ACTIVE" | "EXHAUSTED" | "FROZEN";

function defineTables({ table, text, decimal, integer, epochMs, flag, json, primaryKey, index, uniqueIndex }: Kit) {
  return {
    namespaces: table("namespaces", {
      id: text("id").primaryKey(),
      /** The operator's name for it. Stays taken after the namespace is closed. */
      key: text("key").notNull().unique("namespaces_key"),
      kind: text("kind").$type<NamespaceKind>().notNull(),
      /** The newest row of config_versions; 0: nothing was published yet. */
      configVersion: integer("config_version").notNull(),
      createdAt: epochMs("created_at").notNull(),
      closedAt: epochMs("closed_at"),
    }),

    apiKeys: table(
      "api_keys",
      {
        id: text("id").primaryKey(),
        namespaceId: text("namespace_id").notNull(),
        name: text("name").notNull(),
        /** The first characters, for people; too few to guess the rest from. */
        prefix: text("prefix").notNull(),
        /** Hex sha-256 of the key. The key itself is stored nowhere. */
        hash: text("hash").notNull().unique("api_keys_hash"),
        scopes: json("scopes").$type<string[]>().notNull(),
        createdAt: epochMs("created_at").notNull(),
        expiresAt: epochMs("expires_at"),
        revokedAt: epochMs("revoked_at"),
        /** To five minutes. */
        lastUsedAt: epochMs("last_used_at"),
        /** The key that a rotation put in its place. */
        replacedBy: text("replaced_by"),
      },
      (t) => [index("api_keys_namespace").on(t.namespaceId, t.id)],
    ),

    /** Immutable snapshots of a namespace's configuration. Superseded ones are kept for an hour: long enough for every cache. */
    configVersions: table(
      "config_versions",
      {
        namespaceId: text("namespace_id").notNull(),
        version: integer("version").notNull(),
        /** JSON of durable-objects/rpc.ts ConfigSnapshot; the store does not look inside. */
        snapshot: text("snapshot").notNull(),
        createdAt: epochMs("created_at").notNull(),
      },
      (t) => [primaryKey({ columns: [t.namespaceId, t.version] })],
    ),

    /** Every version of every burn table, for ever. */
    burnTables: table(
      "burn_tables",
      {
        namespaceId: text("namespace_id").notNull(),
        key: text("key").notNull(),
        version: integer("version").notNull(),
        currency: text("currency").notNull(),
        effectiveFrom: epochMs("effective_from").notNull(),
        /** The same on every version of a key; true for one key at most. */
        isDefault: flag("is_default").notNull(),
        /** JSON of rules, mappings, markup and price book, as published. */
        body: text("body").notNull(),
        createdAt: epochMs("created_at").notNull(),
      },
      (t) => [primaryKey({ columns: [t.namespaceId, t.key, t.version] })],
    ),

    meters: table(
      "meters",
      {
        namespaceId: text("namespace_id").notNull(),
        id: text("id").notNull(),
        key: text("key").notNull(),
        eventType: text("event_type").notNull(),
        aggregation: text("aggregation").notNull(),
        valueProperty: text("value_property"),
        /** Dimension → JSONPath. */
        groupBy: json("group_by").$type<Record<string, string>>().notNull(),
        /** Events before it do not count. */
        eventFrom: epochMs("event_from"),
        name: text("name"),
        description: text("description"),
        metadata: json("metadata").$type<Record<string, string>>(),
        /** The configuration version that brought its present definition. */
        configVersion: integer("config_version").notNull().default(0),
        /** When every object that existed then had folded its log by this definition; null: namespace queries must ask. */
        foldedAt: epochMs("folded_at"),
        createdAt: epochMs("created_at").notNull(),
        updatedAt: epochMs("updated_at").notNull(),
        deletedAt: epochMs("deleted_at"),
      },
      (t) => [
        primaryKey({ columns: [t.namespaceId, t.id] }),
        uniqueIndex("meters_key")
          .on(t.namespaceId, t.key)
          .where(sql`deleted_at is null`),
        index("meters_unfolded")
          .on(t.namespaceId, t.configVersion)
          .where(sql`folded_at is null and deleted_at is null`),
      ],
    ),

    /** PROJECTION of the customer objects: the registry that says which exist and how far the store has followed each. */
    objects: table(
      "objects",
      {
        namespaceId: text("namespace_id").notNull(),
        name: text("name").notNull(),
        epoch: text("epoch").notNull(),
        customerId: text("customer_id").notNull(),
        customerKey: text("customer_key").notNull(),
        firstSeenAt: epochMs("first_seen_at").notNull(),
        lastSeq: integer("last_seq").notNull(),
        eventCount: integer("event_count").notNull(),
        /** The newest configuration version by whose meters the whole log is folded and sent. */
        foldedVersion: integer("folded_version").notNull().default(0),
        /** Log entries up to this one are in the archive. */
        archivedSeq: integer("archived_seq").notNull().default(0),
        /** The UTC day on which it accepted events last, days since 1970, and how many then: [subject, count]. */
        today: integer("today").notNull().default(0),
        todayCounts: json("today_counts").$type<[subject: string, count: number][]>(),
        /** All that was here has moved into another object. The row stays: what still comes of the object is older. */
        closed: flag("closed")
          .notNull()
          .default(sql`0`),
        updatedAt: epochMs("updated_at").notNull(),
      },
      (t) => [primaryKey({ columns: [t.namespaceId, t.name] })],
    ),

    /**
     * Customers that the API made, and, as a PROJECTION of their objects, those that a track, a grant or a wallet's settings made. Subjects
     * that only sent events have an object and no row here; creating a customer over such a subject adopts it.
     */
    customers: table(
      "customers",
      {
        namespaceId: text("namespace_id").notNull(),
        id: text("id").notNull(),
        key: text("key"),
        name: text("name"),
        /** The object that holds this customer's data. */
        home: text("home").notNull(),
        description: text("description"),
        primaryEmail: text("primary_email"),
        /** ISO 4217. */
        currency: text("currency"),
        billingAddress: json("billing_address").$type<Record<string, string>>(),
        metadata: json("metadata").$type<Record<string, string>>(),
        createdAt: epochMs("created_at").notNull(),
        updatedAt: epochMs("updated_at").notNull().default(0),
        deletedAt: epochMs("deleted_at"),
      },
      (t) => [
        primaryKey({ columns: [t.namespaceId, t.id] }),
        uniqueIndex("customers_key")
          .on(t.namespaceId, t.key)
          .where(sql`deleted_at is null`),
      ],
    ),

    /**
     * Which names' usage is a customer's, and was: its subjects, and its key. Unlinking moves the future only, so the past keeps its row.
     * One table for both, so that one unique key keeps a name from being two customers'. Customers that no API call made have none here.
     */
    customerSubjects: table(
      "customer_subjects",
      {
        namespaceId: text("namespace_id").notNull(),
        subjectKey: text("subject_key").notNull(),
        customerId: text("customer_id").notNull(),
        /** Place in the customer's list of subjects; -1: it is the key and none of the subjects. */
        place: integer("place").notNull(),
        createdAt: epochMs("created_at").notNull(),
        /** When the objects had been told, of the link or of its end; null: the cron finishes it. */
        linkedAt: epochMs("linked_at"),
        removedAt: epochMs("removed_at"),
      },
      (t) => [
        primaryKey({ columns: [t.namespaceId, t.subjectKey, t.customerId, t.createdAt] }),
        uniqueIndex("customer_subjects_key")
          .on(t.namespaceId, t.subjectKey)
          .where(sql`removed_at is null`),
        index("customer_subjects_customer").on(t.namespaceId, t.customerId),
        index("customer_subjects_unlinked")
          .on(t.namespaceId, t.createdAt)
          .where(sql`linked_at is null`),
      ],
    ),

    /** Objects whose data moves into another: the control plane's side of the saga that the source object journals. */
    merges: table(
      "merges",
      {
        namespaceId: text("namespace_id").notNull(),
        id: text("id").notNull(),
        source: text("source").notNull(),
        home: text("home").notNull(),
        startedAt: epochMs("started_at").notNull(),
        finishedAt: epochMs("finished_at"),
      },
      (t) => [
        primaryKey({ columns: [t.namespaceId, t.id] }),
        index("merges_open")
          .on(t.namespaceId, t.startedAt)
          .where(sql`finished_at is null`),
        index("merges_finished").on(t.namespaceId, t.finishedAt),
      ],
    ),

    /** What is known of a subject beside its usage. */
    subjects: table(
      "subjects",
      {
        namespaceId: text("namespace_id").notNull(),
        id: text("id").notNull(),
        key: text("key").notNull(),
        displayName: text("display_name"),
        metadata: json("metadata").$type<Record<string, unknown>>(),
        stripeCustomerId: text("stripe_customer_id"),
        currentPeriodStart: epochMs("current_period_start"),
        currentPeriodEnd: epochMs("current_period_end"),
        createdAt: epochMs("created_at").notNull(),
        updatedAt: epochMs("updated_at").notNull(),
        deletedAt: epochMs("deleted_at"),
      },
      (t) => [
        primaryKey({ columns: [t.namespaceId, t.id] }),
        uniqueIndex("subjects_key")
          .on(t.namespaceId, t.key)
          .where(sql`deleted_at is null`),
      ],
    ),

    features: table(
      "features",
      {
        namespaceId: text("namespace_id").notNull(),
        id: text("id").notNull(),
        key: text("key").notNull(),
        name: text("name").notNull(),
        meterId: text("meter_id"),
        meterKey: text("meter_key"),
        /** Dimension → FilterString (core/filter.ts). */
        filters: json("filters").$type<Record<string, unknown>>(),
        unitCost: json("unit_cost").$type<Record<string, unknown>>(),
        metadata: json("metadata").$type<Record<string, string>>(),
        createdAt: epochMs("created_at").notNull(),
        updatedAt: epochMs("updated_at").notNull(),
        archivedAt: epochMs("archived_at"),
      },
      (t) => [
        primaryKey({ columns: [t.namespaceId, t.id] }),
        uniqueIndex("features_key")
          .on(t.namespaceId, t.key)
          .where(sql`archived_at is null`),
      ],
    ),

    /** The tokens themselves are signed and stored nowhere. */
    portalTokens: table(
      "portal_tokens",
      {
        namespaceId: text("namespace_id").notNull(),
        id: text("id").notNull(),
        subject: text("subject").notNull(),
        /** null: every meter. */
        meterSlugs: json("meter_slugs").$type<string[]>(),
        createdAt: epochMs("created_at").notNull(),
        expiresAt: epochMs("expires_at").notNull(),
        revokedAt: epochMs("revoked_at"),
      },
      (t) => [primaryKey({ columns: [t.namespaceId, t.id] })],
    ),

    /** How far a query got that carries a clientId, for five minutes. */
    progress: table(
      "progress",
      {
        namespaceId: text("namespace_id").notNull(),
        id: text("id").notNull(),
        success: integer("success").notNull(),
        failed: integer("failed").notNull(),
        total: integer("total").notNull(),
        updatedAt: epochMs("updated_at").notNull(),
      },
      (t) => [primaryKey({ columns: [t.namespaceId, t.id] })],
    ),

    /** The archive's index: which accepted events a file in R2 holds. A file never changes. */
    archiveFiles: table(
      "archive_files",
      {
        namespaceId: text("namespace_id").notNull(),
        /** UTC day of the events' time, days since 1970. */
        day: integer("day").notNull(),
        /** The file's name in R2. */
        file: text("file").notNull(),
        events: integer("events").notNull(),
        bytes: integer("bytes").notNull(),
        /** Earliest and latest event time in it. */
        fromTime: epochMs("from_time").notNull(),
        toTime: epochMs("to_time").notNull(),
        /** Earliest and latest time of acceptance in it. */
        fromStored: epochMs("from_stored").notNull(),
        toStored: epochMs("to_stored").notNull(),
        createdAt: epochMs("created_at").notNull(),
      },
      (t) => [primaryKey({ columns: [t.namespaceId, t.day, t.file] })],
    ),

    /** Which log entries of which object are in a file. */
    archiveParts: table(
      "archive_parts",
      {
        namespaceId: text("namespace_id").notNull(),
        object: text("object").notNull(),
        epoch: text("epoch").notNull(),
        fromSeq: integer("from_seq").notNull(),
        toSeq: integer("to_seq").notNull(),
        day: integer("day").notNull(),
        file: text("file").notNull(),
        events: integer("events").notNull(),
      },
      (t) => [primaryKey({ columns: [t.namespaceId, t.object, t.epoch, t.fromSeq, t.day, t.file] })],
    ),

    /** PROJECTION of each customer's wallet, for lists and reports; the object answers for a single customer. */
    wallets: table(
      "wallets",
      {
        namespaceId: text("namespace_id").notNull(),
        customerId: text("customer_id").notNull(),
        balance: decimal("balance").notNull(),
        held: decimal("held").notNull(),
        currency: text("currency").notNull(),
        status: text("status").$type<WalletStatus>().notNull(),
        unrated: integer("unrated").notNull(),
        /** It has moved into another customer's wallet, and is listed no more. */
        closed: flag("closed")
          .notNull()
          .default(sql`0`),
        epoch: text("epoch").notNull(),
        seq: integer("seq").notNull(),
        updatedAt: epochMs("updated_at").notNull(),
      },
      (t) => [
        primaryKey({ columns: [t.namespaceId, t.customerId] }),
        // Costs a row write only for the few wallets that are in it.
        index("wallets_unrated")
          .on(t.namespaceId, t.customerId, t.unrated)
          .where(sql`unrated > 0`),
      ],
    ),

    /** PROJECTION of the objects' folds: running totals per window, never deltas. Minutes for 35 days, quarter hours for ever. */
    rollups: table(
      "rollups",
      {
        namespaceId: text("namespace_id").notNull(),
        /** The meter's fold key (core/meter.ts): its id and a fingerprint of its definition. */
        meterKey: text("meter_key").notNull(),
        resolution: text("resolution").$type<Resolution>().notNull(),
        windowStart: epochMs("window_start").notNull(),
        object: text("object").notNull(),
        /** Canonical JSON of [subject, …values in the order of the dimensions' names]; null where one has gone coarse. */
        groupKey: text("group_key").notNull(),
        count: integer("count").notNull(),
        sum: decimal("sum").notNull(),
        min: decimal("min"),
        max: decimal("max"),
        latest: decimal("latest"),
        latestAt: epochMs("latest_at"),
        epoch: text("epoch").notNull(),
        seq: integer("seq").notNull(),
      },
      (t) => [
        // Named, because the name drizzle-kit makes up is longer than Postgres takes.
        primaryKey({
          name: "rollups_key",
          columns: [t.namespaceId, t.meterKey, t.resolution, t.windowStart, t.object, t.groupKey],
        }),
      ],
    ),

    /** Queue messages that were given up, with the reason, until they are replayed. */
    deadLetters: table(
      "dead_letters",
      {
        /** Derived from the message, so that a redelivered message is recorded once. */
        id: text("id").primaryKey(),
        /** null: the message did not say. */
        namespaceId: text("namespace_id"),
        queue: text("queue").notNull(),
        body: text("body").notNull(),
        reason: text("reason").notNull(),
        attempts: integer("attempts").notNull(),
        createdAt: epochMs("created_at").notNull(),
        replayedAt: epochMs("replayed_at"),
      },
      (t) => [index("dead_letters_namespace").on(t.namespaceId, t.id)],
    ),

    /** Answers to requests that carried an Idempotency-Key, for 24 hours. */
    idempotency: table(
      "idempotency",
      {
        namespaceId: text("namespace_id").notNull(),
        key: text("key").notNull(),
        route: text("route").notNull(),
        bodyHash: text("body_hash").notNull(),
        status: integer("status").notNull(),
        /** Sealed by the caller: it may hold a key that is shown once. */
        response: text("response").notNull(),
        createdAt: epochMs("created_at").notNull(),
        expiresAt: epochMs("expires_at").notNull(),
      },
      (t) => [primaryKey({ columns: [t.namespaceId, t.key] }), index("idempotency_expiry").on(t.expiresAt)],
    ),
  };
}

export const sqliteTables = defineTables(sqliteKit);
export const pgTables = defineTables(pgKit);

export type Tables = typeof sqliteTables;
