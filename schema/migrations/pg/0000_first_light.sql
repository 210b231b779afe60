CREATE TABLE "namespaces" (
	"id" text collate "C" PRIMARY KEY NOT NULL,
	"key" text collate "C" NOT NULL,
	"kind" text collate "C" NOT NULL,
	"config_version" bigint NOT NULL,
	"created_at" bigint NOT NULL,
	"closed_at" bigint,
	CONSTRAINT "namespaces_key" UNIQUE("key")
);
--> statement-breakpoint
CREATE TABLE "api_keys" (
	"id" text collate "C" PRIMARY KEY NOT NULL,
	"namespace_id" text collate "C" NOT NULL,
	"name" text collate "C" NOT NULL,
	"prefix" text collate "C" NOT NULL,
	"hash" text collate "C" NOT NULL,
	"scopes" text collate "C" NOT NULL,
	"created_at" bigint NOT NULL,
	"expires_at" bigint,
	"revoked_at" bigint,
	"last_used_at" bigint,
	"replaced_by" text collate "C",
	CONSTRAINT "api_keys_hash" UNIQUE("hash")
);
--> statement-breakpoint
CREATE TABLE "config_versions" (
	"namespace_id" text collate "C" NOT NULL,
	"version" bigint NOT NULL,
	"snapshot" text collate "C" NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "config_versions_namespace_id_version_pk" PRIMARY KEY("namespace_id","version")
);
--> statement-breakpoint
CREATE TABLE "burn_tables" (
	"namespace_id" text collate "C" NOT NULL,
	"key" text collate "C" NOT NULL,
	"version" bigint NOT NULL,
	"currency" text collate "C" NOT NULL,
	"effective_from" bigint NOT NULL,
	"is_default" smallint NOT NULL,
	"body" text collate "C" NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "burn_tables_namespace_id_key_version_pk" PRIMARY KEY("namespace_id","key","version")
);
--> statement-breakpoint
CREATE TABLE "meters" (
	"namespace_id" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	"key" text collate "C" NOT NULL,
	"event_type" text collate "C" NOT NULL,
	"aggregation" text collate "C" NOT NULL,
	"value_property" text collate "C",
	"group_by" text collate "C" NOT NULL,
	"event_from" bigint,
	"name" text collate "C",
	"description" text collate "C",
	"metadata" text collate "C",
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	"deleted_at" bigint,
	CONSTRAINT "meters_namespace_id_id_pk" PRIMARY KEY("namespace_id","id")
);
--> statement-breakpoint
CREATE TABLE "objects" (
	"namespace_id" text collate "C" NOT NULL,
	"name" text collate "C" NOT NULL,
	"epoch" text collate "C" NOT NULL,
	"customer_id" text collate "C" NOT NULL,
	"customer_key" text collate "C" NOT NULL,
	"first_seen_at" bigint NOT NULL,
	"last_seq" bigint NOT NULL,
	"event_count" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	CONSTRAINT "objects_namespace_id_name_pk" PRIMARY KEY("namespace_id","name")
);
--> statement-breakpoint
CREATE TABLE "customers" (
	"namespace_id" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	"key" text collate "C",
	"name" text collate "C",
	"home" text collate "C" NOT NULL,
	"created_at" bigint NOT NULL,
	"deleted_at" bigint,
	CONSTRAINT "customers_namespace_id_id_pk" PRIMARY KEY("namespace_id","id")
);
--> statement-breakpoint
CREATE TABLE "wallets" (
	"namespace_id" text collate "C" NOT NULL,
	"customer_id" text collate "C" NOT NULL,
	"balance" text collate "C" NOT NULL,
	"held" text collate "C" NOT NULL,
	"currency" text collate "C" NOT NULL,
	"status" text collate "C" NOT NULL,
	"unrated" bigint NOT NULL,
	"epoch" text collate "C" NOT NULL,
	"seq" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	CONSTRAINT "wallets_namespace_id_customer_id_pk" PRIMARY KEY("namespace_id","customer_id")
);
--> statement-breakpoint
CREATE TABLE "rollups" (
	"namespace_id" text collate "C" NOT NULL,
	"meter_key" text collate "C" NOT NULL,
	"resolution" text collate "C" NOT NULL,
	"window_start" bigint NOT NULL,
	"object" text collate "C" NOT NULL,
	"group_key" text collate "C" NOT NULL,
	"count" bigint NOT NULL,
	"sum" text collate "C" NOT NULL,
	"min" text collate "C",
	"max" text collate "C",
	"latest" text collate "C",
	"latest_at" bigint,
	"epoch" text collate "C" NOT NULL,
	"seq" bigint NOT NULL,
	CONSTRAINT "rollups_key" PRIMARY KEY("namespace_id","meter_key","resolution","window_start","object","group_key")
);
--> statement-breakpoint
CREATE TABLE "dead_letters" (
	"id" text collate "C" PRIMARY KEY NOT NULL,
	"namespace_id" text collate "C",
	"queue" text collate "C" NOT NULL,
	"body" text collate "C" NOT NULL,
	"reason" text collate "C" NOT NULL,
	"attempts" bigint NOT NULL,
	"created_at" bigint NOT NULL,
	"replayed_at" bigint
);
--> statement-breakpoint
CREATE TABLE "idempotency" (
	"namespace_id" text collate "C" NOT NULL,
	"key" text collate "C" NOT NULL,
	"route" text collate "C" NOT NULL,
	"body_hash" text collate "C" NOT NULL,
	"status" bigint NOT NULL,
	"response" text collate "C" NOT NULL,
	"created_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	CONSTRAINT "idempotency_namespace_id_key_pk" PRIMARY KEY("namespace_id","key")
);
--> statement-breakpoint
CREATE INDEX "api_keys_namespace" ON "api_keys" USING btree ("namespace_id","id");--> statement-breakpoint
CREATE UNIQUE INDEX "meters_key" ON "meters" USING btree ("namespace_id","key") WHERE deleted_at is null;--> statement-breakpoint
CREATE UNIQUE INDEX "customers_key" ON "customers" USING btree ("namespace_id","key") WHERE deleted_at is null;--> statement-breakpoint
CREATE INDEX "wallets_unrated" ON "wallets" USING btree ("namespace_id","customer_id","unrated") WHERE unrated > 0;--> statement-breakpoint
CREATE INDEX "dead_letters_namespace" ON "dead_letters" USING btree ("namespace_id","id");--> statement-breakpoint
CREATE INDEX "idempotency_expiry" ON "idempotency" USING btree ("expires_at");