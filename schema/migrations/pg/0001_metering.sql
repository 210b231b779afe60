CREATE TABLE "customer_subjects" (
	"namespace_id" text collate "C" NOT NULL,
	"subject_key" text collate "C" NOT NULL,
	"customer_id" text collate "C" NOT NULL,
	"place" bigint NOT NULL,
	"created_at" bigint NOT NULL,
	"linked_at" bigint,
	"removed_at" bigint,
	CONSTRAINT "customer_subjects_namespace_id_subject_key_customer_id_created_at_pk" PRIMARY KEY("namespace_id","subject_key","customer_id","created_at")
);
--> statement-breakpoint
CREATE TABLE "merges" (
	"namespace_id" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	"source" text collate "C" NOT NULL,
	"home" text collate "C" NOT NULL,
	"started_at" bigint NOT NULL,
	"finished_at" bigint,
	CONSTRAINT "merges_namespace_id_id_pk" PRIMARY KEY("namespace_id","id")
);
--> statement-breakpoint
CREATE TABLE "subjects" (
	"namespace_id" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	"key" text collate "C" NOT NULL,
	"display_name" text collate "C",
	"metadata" text collate "C",
	"stripe_customer_id" text collate "C",
	"current_period_start" bigint,
	"current_period_end" bigint,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	"deleted_at" bigint,
	CONSTRAINT "subjects_namespace_id_id_pk" PRIMARY KEY("namespace_id","id")
);
--> statement-breakpoint
CREATE TABLE "features" (
	"namespace_id" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	"key" text collate "C" NOT NULL,
	"name" text collate "C" NOT NULL,
	"meter_id" text collate "C",
	"meter_key" text collate "C",
	"filters" text collate "C",
	"unit_cost" text collate "C",
	"metadata" text collate "C",
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	"archived_at" bigint,
	CONSTRAINT "features_namespace_id_id_pk" PRIMARY KEY("namespace_id","id")
);
--> statement-breakpoint
CREATE TABLE "portal_tokens" (
	"namespace_id" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	"subject" text collate "C" NOT NULL,
	"meter_slugs" text collate "C",
	"created_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	"revoked_at" bigint,
	CONSTRAINT "portal_tokens_namespace_id_id_pk" PRIMARY KEY("namespace_id","id")
);
--> statement-breakpoint
CREATE TABLE "progress" (
	"namespace_id" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	"success" bigint NOT NULL,
	"failed" bigint NOT NULL,
	"total" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	CONSTRAINT "progress_namespace_id_id_pk" PRIMARY KEY("namespace_id","id")
);
--> statement-breakpoint
CREATE TABLE "archive_files" (
	"namespace_id" text collate "C" NOT NULL,
	"day" bigint NOT NULL,
	"file" text collate "C" NOT NULL,
	"events" bigint NOT NULL,
	"bytes" bigint NOT NULL,
	"from_time" bigint NOT NULL,
	"to_time" bigint NOT NULL,
	"from_stored" bigint NOT NULL,
	"to_stored" bigint NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "archive_files_namespace_id_day_file_pk" PRIMARY KEY("namespace_id","day","file")
);
--> statement-breakpoint
CREATE TABLE "archive_parts" (
	"namespace_id" text collate "C" NOT NULL,
	"object" text collate "C" NOT NULL,
	"epoch" text collate "C" NOT NULL,
	"from_seq" bigint NOT NULL,
	"to_seq" bigint NOT NULL,
	"day" bigint NOT NULL,
	"file" text collate "C" NOT NULL,
	"events" bigint NOT NULL,
	CONSTRAINT "archive_parts_namespace_id_object_epoch_from_seq_day_file_pk" PRIMARY KEY("namespace_id","object","epoch","from_seq","day","file")
);
--> statement-breakpoint
ALTER TABLE "meters" ADD COLUMN "config_version" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "meters" ADD COLUMN "folded_at" bigint;--> statement-breakpoint
ALTER TABLE "objects" ADD COLUMN "folded_version" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "objects" ADD COLUMN "archived_seq" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "objects" ADD COLUMN "today" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "objects" ADD COLUMN "today_counts" text collate "C";--> statement-breakpoint
ALTER TABLE "objects" ADD COLUMN "closed" smallint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "customers" ADD COLUMN "description" text collate "C";--> statement-breakpoint
ALTER TABLE "customers" ADD COLUMN "primary_email" text collate "C";--> statement-breakpoint
ALTER TABLE "customers" ADD COLUMN "currency" text collate "C";--> statement-breakpoint
ALTER TABLE "customers" ADD COLUMN "billing_address" text collate "C";--> statement-breakpoint
ALTER TABLE "customers" ADD COLUMN "metadata" text collate "C";--> statement-breakpoint
ALTER TABLE "customers" ADD COLUMN "updated_at" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "wallets" ADD COLUMN "closed" smallint DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "customer_subjects_key" ON "customer_subjects" USING btree ("namespace_id","subject_key") WHERE removed_at is null;--> statement-breakpoint
CREATE INDEX "customer_subjects_customer" ON "customer_subjects" USING btree ("namespace_id","customer_id");--> statement-breakpoint
CREATE INDEX "customer_subjects_unlinked" ON "customer_subjects" USING btree ("namespace_id","created_at") WHERE linked_at is null;--> statement-breakpoint
CREATE INDEX "merges_open" ON "merges" USING btree ("namespace_id","started_at") WHERE finished_at is null;--> statement-breakpoint
CREATE INDEX "merges_finished" ON "merges" USING btree ("namespace_id","finished_at");--> statement-breakpoint
CREATE UNIQUE INDEX "subjects_key" ON "subjects" USING btree ("namespace_id","key") WHERE deleted_at is null;--> statement-breakpoint
CREATE UNIQUE INDEX "features_key" ON "features" USING btree ("namespace_id","key") WHERE archived_at is null;--> statement-breakpoint
CREATE INDEX "meters_unfolded" ON "meters" USING btree ("namespace_id","config_version") WHERE folded_at is null and deleted_at is null;