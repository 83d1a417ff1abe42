// What is in a store. Users query these tables and views, so their names and columns are a promise.
#pragma once

#include "database.h"

namespace gradus::results {

constexpr int kApplicationId = 0x47724475;  // "GrDu" in the file's header, so that `file` and we know our own
constexpr int kSchemaVersion = 4;

// Makes the tables in a fresh file, brings an older store up to date, or checks that they are ours. `lock` is the
// store's file lock (not held): creation happens under it, so that any number of processes may open one fresh file in
// the same instant. Errors (data): not a database, another program's database, a newer schema.
void create_schema(Database& database, FileLock& lock);
// False: an older store, which create_schema() would bring up to date. Error (missing): an empty file.
bool check_schema(Database& database);

// Brings an older store to kSchemaVersion in one transaction, after copying it to PATH.v1-backup (the number is its old
// version). The caller holds the store's file lock. Says so on standard error: a copy takes room on the user's disk.
void migrate(Database& database);

}  // namespace gradus::results
