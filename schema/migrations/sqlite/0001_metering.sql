CREATE TABLE `customer_subjects` (
	`namespace_id` text NOT NULL,
	`subject_key` text NOT NULL,
	`customer_id` text NOT NULL,
	`place` integer NOT NULL,
	`created_at` integer NOT NULL,
	`linked_at` integer,
	`removed_at` integer,
	PRIMARY KEY(`namespace_id`, `subject_key`, `customer_id`, `created_at`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `customer_subjects_key` ON `customer_subjects` (`namespace_id`,`subject_key`) WHERE removed_at is null;--> statement-breakpoint
CREATE INDEX `customer_subjects_customer` ON `customer_subjects` (`namespace_id`,`customer_id`);--> statement-breakpoint
CREATE INDEX `customer_subjects_unlinked` ON `customer_subjects` (`namespace_id`,`created_at`) WHERE linked_at is null;--> statement-breakpoint
CREATE TABLE `merges` (
	`namespace_id` text NOT NULL,
	`id` text NOT NULL,
	`source` text NOT NULL,
	`home` text NOT NULL,
	`started_at` integer NOT NULL,
	`finished_at` integer,
	PRIMARY KEY(`namespace_id`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `merges_open` ON `merges` (`namespace_id`,`started_at`) WHERE finished_at is null;--> statement-breakpoint
CREATE INDEX `merges_finished` ON `merges` (`namespace_id`,`finished_at`);--> statement-breakpoint
CREATE TABLE `subjects` (
	`namespace_id` text NOT NULL,
	`id` text NOT NULL,
	`key` text NOT NULL,
	`display_name` text,
	`metadata` text,
	`stripe_customer_id` text,
	`current_period_start` integer,
	`current_period_end` integer,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`deleted_at` integer,
	PRIMARY KEY(`namespace_id`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `subjects_key` ON `subjects` (`namespace_id`,`key`) WHERE deleted_at is null;--> statement-breakpoint
CREATE TABLE `features` (
	`namespace_id` text NOT NULL,
	`id` text NOT NULL,
	`key` text NOT NULL,
	`name` text NOT NULL,
	`meter_id` text,
	`meter_key` text,
	`filters` text,
	`unit_cost` text,
	`metadata` text,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`archived_at` integer,
	PRIMARY KEY(`namespace_id`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `features_key` ON `features` (`namespace_id`,`key`) WHERE archived_at is null;--> statement-breakpoint
CREATE TABLE `portal_tokens` (
	`namespace_id` text NOT NULL,
	`id` text NOT NULL,
	`subject` text NOT NULL,
	`meter_slugs` text,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`revoked_at` integer,
	PRIMARY KEY(`namespace_id`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `progress` (
	`namespace_id` text NOT NULL,
	`id` text NOT NULL,
	`success` integer NOT NULL,
	`failed` integer NOT NULL,
	`total` integer NOT NULL,
	`updated_at` integer NOT NULL,
	PRIMARY KEY(`namespace_id`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `archive_files` (
	`namespace_id` text NOT NULL,
	`day` integer NOT NULL,
	`file` text NOT NULL,
	`events` integer NOT NULL,
	`bytes` integer NOT NULL,
	`from_time` integer NOT NULL,
	`to_time` integer NOT NULL,
	`from_stored` integer NOT NULL,
	`to_stored` integer NOT NULL,
	`created_at` integer NOT NULL,
	PRIMARY KEY(`namespace_id`, `day`, `file`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `archive_parts` (
	`namespace_id` text NOT NULL,
	`object` text NOT NULL,
	`epoch` text NOT NULL,
	`from_seq` integer NOT NULL,
	`to_seq` integer NOT NULL,
	`day` integer NOT NULL,
	`file` text NOT NULL,
	`events` integer NOT NULL,
	PRIMARY KEY(`namespace_id`, `object`, `epoch`, `from_seq`, `day`, `file`)
) WITHOUT ROWID;
--> statement-breakpoint
ALTER TABLE `meters` ADD `config_version` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `meters` ADD `folded_at` integer;--> statement-breakpoint
CREATE INDEX `meters_unfolded` ON `meters` (`namespace_id`,`config_version`) WHERE folded_at is null and deleted_at is null;--> statement-breakpoint
ALTER TABLE `objects` ADD `folded_version` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `objects` ADD `archived_seq` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `objects` ADD `today` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `objects` ADD `today_counts` text;--> statement-breakpoint
ALTER TABLE `objects` ADD `closed` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `customers` ADD `description` text;--> statement-breakpoint
ALTER TABLE `customers` ADD `primary_email` text;--> statement-breakpoint
ALTER TABLE `customers` ADD `currency` text;--> statement-breakpoint
ALTER TABLE `customers` ADD `billing_address` text;--> statement-breakpoint
ALTER TABLE `customers` ADD `metadata` text;--> statement-breakpoint
ALTER TABLE `customers` ADD `updated_at` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `wallets` ADD `closed` integer DEFAULT 0 NOT NULL;