CREATE TABLE `namespaces` (
	`id` text PRIMARY KEY NOT NULL,
	`key` text NOT NULL,
	`kind` text NOT NULL,
	`config_version` integer NOT NULL,
	`created_at` integer NOT NULL,
	`closed_at` integer
) WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `namespaces_key` ON `namespaces` (`key`);--> statement-breakpoint
CREATE TABLE `api_keys` (
	`id` text PRIMARY KEY NOT NULL,
	`namespace_id` text NOT NULL,
	`name` text NOT NULL,
	`prefix` text NOT NULL,
	`hash` text NOT NULL,
	`scopes` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	`revoked_at` integer,
	`last_used_at` integer,
	`replaced_by` text
) WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `api_keys_hash` ON `api_keys` (`hash`);--> statement-breakpoint
CREATE INDEX `api_keys_namespace` ON `api_keys` (`namespace_id`,`id`);--> statement-breakpoint
CREATE TABLE `config_versions` (
	`namespace_id` text NOT NULL,
	`version` integer NOT NULL,
	`snapshot` text NOT NULL,
	`created_at` integer NOT NULL,
	PRIMARY KEY(`namespace_id`, `version`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `burn_tables` (
	`namespace_id` text NOT NULL,
	`key` text NOT NULL,
	`version` integer NOT NULL,
	`currency` text NOT NULL,
	`effective_from` integer NOT NULL,
	`is_default` integer NOT NULL,
	`body` text NOT NULL,
	`created_at` integer NOT NULL,
	PRIMARY KEY(`namespace_id`, `key`, `version`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `meters` (
	`namespace_id` text NOT NULL,
	`id` text NOT NULL,
	`key` text NOT NULL,
	`event_type` text NOT NULL,
	`aggregation` text NOT NULL,
	`value_property` text,
	`group_by` text NOT NULL,
	`event_from` integer,
	`name` text,
	`description` text,
	`metadata` text,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`deleted_at` integer,
	PRIMARY KEY(`namespace_id`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `meters_key` ON `meters` (`namespace_id`,`key`) WHERE deleted_at is null;--> statement-breakpoint
CREATE TABLE `objects` (
	`namespace_id` text NOT NULL,
	`name` text NOT NULL,
	`epoch` text NOT NULL,
	`customer_id` text NOT NULL,
	`customer_key` text NOT NULL,
	`first_seen_at` integer NOT NULL,
	`last_seq` integer NOT NULL,
	`event_count` integer NOT NULL,
	`updated_at` integer NOT NULL,
	PRIMARY KEY(`namespace_id`, `name`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `customers` (
	`namespace_id` text NOT NULL,
	`id` text NOT NULL,
	`key` text,
	`name` text,
	`home` text NOT NULL,
	`created_at` integer NOT NULL,
	`deleted_at` integer,
	PRIMARY KEY(`namespace_id`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `customers_key` ON `customers` (`namespace_id`,`key`) WHERE deleted_at is null;--> statement-breakpoint
CREATE TABLE `wallets` (
	`namespace_id` text NOT NULL,
	`customer_id` text NOT NULL,
	`balance` text NOT NULL,
	`held` text NOT NULL,
	`currency` text NOT NULL,
	`status` text NOT NULL,
	`unrated` integer NOT NULL,
	`epoch` text NOT NULL,
	`seq` integer NOT NULL,
	`updated_at` integer NOT NULL,
	PRIMARY KEY(`namespace_id`, `customer_id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `wallets_unrated` ON `wallets` (`namespace_id`,`customer_id`,`unrated`) WHERE unrated > 0;--> statement-breakpoint
CREATE TABLE `rollups` (
	`namespace_id` text NOT NULL,
	`meter_key` text NOT NULL,
	`resolution` text NOT NULL,
	`window_start` integer NOT NULL,
	`object` text NOT NULL,
	`group_key` text NOT NULL,
	`count` integer NOT NULL,
	`sum` text NOT NULL,
	`min` text,
	`max` text,
	`latest` text,
	`latest_at` integer,
	`epoch` text NOT NULL,
	`seq` integer NOT NULL,
	PRIMARY KEY(`namespace_id`, `meter_key`, `resolution`, `window_start`, `object`, `group_key`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `dead_letters` (
	`id` text PRIMARY KEY NOT NULL,
	`namespace_id` text,
	`queue` text NOT NULL,
	`body` text NOT NULL,
	`reason` text NOT NULL,
	`attempts` integer NOT NULL,
	`created_at` integer NOT NULL,
	`replayed_at` integer
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `dead_letters_namespace` ON `dead_letters` (`namespace_id`,`id`);--> statement-breakpoint
CREATE TABLE `idempotency` (
	`namespace_id` text NOT NULL,
	`key` text NOT NULL,
	`route` text NOT NULL,
	`body_hash` text NOT NULL,
	`status` integer NOT NULL,
	`response` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	PRIMARY KEY(`namespace_id`, `key`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `idempotency_expiry` ON `idempotency` (`expires_at`);