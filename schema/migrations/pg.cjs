// What drizzle-kit reads: it looks for tables among a module's own exports.
module.exports = require("../tables.ts").pgTables;
