/* sources: @segment */
/* What all layouts of the segment have in common lies where GP_COMMON_VERSION 1 has it. Whoever finds a
 * line here in the way of a change: layout.h tells where the new thing belongs. */
#include "check.h"
#include "chronicle.h"
#include "database.h"
#include "notes.h"
#include "outage.h"

#define AT(type, field, where) CHECK_EQ(offsetof(struct type, field), where)

static void test_heads_and_workers_lie_where_they_lay(void)
{
    AT(gp_common, magic, 0);
    AT(gp_common, version, 8);
    AT(gp_common, workers, 12);
    AT(gp_common, pools_max, 16);
    AT(gp_common, clients_max, 20);
    AT(gp_common, fd, 24);
    AT(gp_common, size, 32);
    AT(gp_common, boot_ns, 40);
    AT(gp_common, hash_key, 48);
    AT(gp_common, pools_high, 64);
    AT(gp_common, databases_high, 68);
    AT(gp_common, alive, 72);
    AT(gp_common, accepting, 80);
    AT(gp_common, controls, 88);
    AT(gp_common, starved, 96);
    AT(gp_common, wanted_ns, 104);
    AT(gp_common, memory_limit, 112);
    AT(gp_common, suspended, 120);
    AT(gp_common, creates, 128);
    AT(gp_common, pumps, 640);
    AT(gp_common, reserve, 896);
    AT(gp_common_worker, poked, 0);
    AT(gp_common_worker, pid, 4);
    AT(gp_common_worker, births, 8);
    AT(gp_common_worker, expects, 12);
    AT(gp_common_worker, wake_fd, 16);
    AT(gp_common_worker, inbox_read, 20);
    AT(gp_common_worker, inbox_write, 24);
    AT(gp_common_worker, still, 28);
    AT(gp_common_worker, reserve, 32);
    AT(gp_common_worker, handed_pools, 64);
    AT(gp_common_worker, memory, 576);
    AT(gp_memory, bytes, 0);
    AT(gp_memory, refusals, 56);
}

static void test_pools_and_lanes_lie_where_they_lay(void)
{
    AT(gp_common_pool, waiters, 0);
    AT(gp_common_pool, size_high, 8);
    AT(gp_common_pool, in_use, 12);
    AT(gp_common_pool, frees, 16);
    AT(gp_common_pool, turn, 20);
    AT(gp_common_pool, epoch, 24);
    AT(gp_common_pool, server, 28);
    AT(gp_common_pool, suspects, 32);
    AT(gp_common_pool, suspects_due_ns, 40);
    AT(gp_common_pool, sequences, 48);
    AT(gp_common_pool, database_place, 52);
    AT(gp_common_pool, limited, 56);
    AT(gp_common_pool, hold, 64);
    AT(gp_common_pool, resumed_ns, 72);
    AT(gp_common_pool, killed_ns, 80);
    AT(gp_common_pool, server_tag, 88);
    AT(gp_common_pool, retained, 96);
    AT(gp_common_pool, creates, 128);
    AT(gp_common_pool, outage, 384);
    AT(gp_common_pool, database, 448);
    AT(gp_common_pool, user, 512);
    AT(gp_common_pool, reserve, 576);
    AT(gp_outage, retry_ns, 0);
    AT(gp_outage, failures, 8);
    AT(gp_outage, slow, 12);
    AT(gp_outage, told_by, 16);
    AT(gp_lane, idle, 0);
    AT(gp_lane, handed, 128);
    AT(gp_lane, head, 256);
    AT(gp_lane, tail, 260);
    AT(gp_lane, ticket, 320);
    AT(gp_lane, waiting, 448);
    AT(gp_lane, oldest_ns, 456);
    AT(gp_lane, reserve, 464);
}

static void test_databases_lie_where_they_lay(void)
{
    AT(gp_database, bounds, 0);
    AT(gp_database, limited, 8);
    AT(gp_database, guarantee, 12);
    AT(gp_database, reserve_wait_ms, 16);
    AT(gp_database, lifetime_ms, 20);
    AT(gp_database, high, 24);
    AT(gp_database, frees, 28);
    AT(gp_database, full_at, 32);
    AT(gp_database, wanted_ns, 64);
    AT(gp_database, freed_ns, 72);
    AT(gp_database, looked_ns, 80);
    AT(gp_database, evictions, 88);
    AT(gp_database, cessions, 96);
    AT(gp_database, reserve_grants, 104);
    AT(gp_database, promotions, 112);
    AT(gp_database, exhaustions, 120);
    AT(gp_database, name, 128);
    AT(gp_database, reserve, 192);
    AT(gp_database, places, 320);
    AT(gp_database, members, 320 + 8 * 16384);
    CHECK_EQ(GP_PLACE_SLOT_SHIFT, 24);
    CHECK_EQ(GP_PLACE_POOL_SHIFT, 36);
}

static void test_notes_and_events_lie_where_they_lay(void)
{
    AT(gp_keys_note, copies, 8);
    AT(gp_welcome_note, copies, 8);
    AT(gp_suspects_note, copies, 8);
    AT(gp_outage_note, copies, 8);
    CHECK_EQ(sizeof(struct gp_outage_note), 576);
    AT(gp_outage_words, at_ns, 0);
    AT(gp_outage_words, sqlstate, 8);
    AT(gp_outage_words, text, 16);
    AT(gp_chronicle, next, 0);
    AT(gp_chronicle, counts, 8);
    AT(gp_chronicle, lines, 320);
    CHECK_EQ(sizeof(struct gp_chronicle), 320 + 256 * 512);
    AT(gp_chronicle_line, row, 8);
    AT(gp_chronicle_row, number, 0);
    AT(gp_chronicle_row, at_ns, 8);
    AT(gp_chronicle_row, kind, 16);
    AT(gp_chronicle_row, worker, 20);
    AT(gp_chronicle_row, pid, 24);
    AT(gp_chronicle_row, length, 28);
    AT(gp_chronicle_row, text, 32);
}

static void test_slots_lie_where_they_lay(void)
{
    AT(gp_slot, word, 0);
    AT(gp_slot, holders, 8);
    AT(gp_slot, state_hash, 16);
    AT(gp_slot, idle_since_ns, 24);
    AT(gp_slot, opened_ns, 32);
    AT(gp_slot, expires_ns, 40);
    AT(gp_slot, epoch, 48);
    AT(gp_slot, backend_pid, 52);
    AT(gp_slot, xacts, 56);
    AT(gp_slot_cold, key_length, 0);
    AT(gp_slot_cold, key, 4);
    AT(gp_slot_cold, address, 260);
    AT(gp_slot_cold, place, 316);
    AT(gp_slot_cold, tls, 320);
    AT(gp_holding, count, 0);
    AT(gp_holding, hand, 4);
    AT(gp_holding, cap, 8);
    AT(gp_holding, unused, 12);
    CHECK_EQ(gp_holding_bytes(GP_STATEMENTS_MAX), 262160);
}

static void test_client_rows_lie_where_they_lay(void)
{
    AT(gp_client_row, state, 0);
    AT(gp_client_row, slot, 4);
    AT(gp_client_row, pool, 8);
    AT(gp_client_row, key_length, 12);
    AT(gp_client_row, wait_since_ns, 16);
    AT(gp_client_row, request_ns, 24);
    AT(gp_client_row, connected_ns, 32);
    AT(gp_client_row, xacts, 40);
    AT(gp_client_row, queries, 48);
    AT(gp_client_row, doomed_ns, 56);
    AT(gp_client_row, cancels, 64);
    AT(gp_client_row, pins, 68);
    AT(gp_client_row, pumped, 72);
    AT(gp_client_row, user_tag, 80);
    AT(gp_client_row, database_tag, 88);
    AT(gp_client_row, address_tag, 96);
    AT(gp_client_row, bytes_received, 104);
    AT(gp_client_row, bytes_sent, 112);
    AT(gp_client_row, buffer_bytes, 120);
    AT(gp_client_row, prepared_bytes, 128);
    AT(gp_client_row, prepared_named, 136);
    AT(gp_client_row, prepared_unnamed, 140);
    AT(gp_client_row, key, 144);
    AT(gp_client_row, user, 176);
    AT(gp_client_row, database, 240);
    AT(gp_client_row, address, 304);
    AT(gp_client_row, application, 360);
    AT(gp_client_row, tls, 424);
    AT(gp_client_row, reserve, 488);
}

static void test_names_of_states_keep_their_numbers(void)
{
    CHECK_EQ(GP_SLOT_CONNECTING, 1);
    CHECK_EQ(GP_SLOT_IDLE, 2);
    CHECK_EQ(GP_SLOT_ACTIVE, 3);
    CHECK_EQ(GP_SLOT_HANDOFF, 4);
    CHECK_EQ(GP_SLOT_PARKED, 5);
    CHECK_EQ(GP_SLOT_CLOSING, 6);
    CHECK_EQ(GP_SLOT_REAP, 7);
    CHECK_EQ(GP_CLIENT_LOGIN, 1);
    CHECK_EQ(GP_CLIENT_GONE, 6);
    CHECK_EQ(GP_HOLD_PAUSED, 1);
    CHECK_EQ(GP_HOLD_DISABLED, 2);
}

int main(void)
{
    RUN(test_heads_and_workers_lie_where_they_lay);
    RUN(test_pools_and_lanes_lie_where_they_lay);
    RUN(test_databases_lie_where_they_lay);
    RUN(test_notes_and_events_lie_where_they_lay);
    RUN(test_slots_lie_where_they_lay);
    RUN(test_client_rows_lie_where_they_lay);
    RUN(test_names_of_states_keep_their_numbers);
    return check_done();
}
