/* The pool that processes share: one segment of shared memory, mapped by the master before it
 * forks, and by the masters of later generations from its descriptor. It holds, for every pool (one
 * database and user), the server connections (slots), which of them are free, who waits for one, and
 * for every client the row that SHOW and cancel need. layout.h tells what lies where.
 *
 * Law of this file: a slot's state word changes in slot_move() of pool_internal.h and nowhere else;
 * pool.c, slot.c, client_rows.c (cancel) and reclaim.c call it, nobody beyond them. Everything else
 * here is written by one named owner. There are no locks, because any process may be killed at any
 * instruction. A limit is never a counter: it is a row of *places*, and taking a place is one
 * compare-and-swap that writes the taker's name into it. So nothing can be lost with a process:
 * whoever finds a dead name in a place knows what to undo (gp_segment_reclaim).
 *
 * States, and who moves a slot from one to the next (o = the worker named in the word):
 *
 *   FREE -> CONNECTING(o)               gp_pool_claim    a worker that needs one more
 *   CONNECTING(o) -> ACTIVE(o)          gp_slot_opened   o, after the login
 *   CONNECTING(o) -> FREE               gp_slot_free     o, when the login failed
 *   ACTIVE(o) -> IDLE(o)                gp_pool_release  o; its bit is in o's idle set by then
 *   ACTIVE(o) -> ACTIVE(w)              gp_slot_convey   w, which has adopted its client
 *   IDLE(o) -> IDLE(w)                  gp_slot_bequeath o, which is about to end
 *   ACTIVE(o) -> HANDOFF(w)             gp_pool_release  o, for the oldest waiter, in worker w
 *   ACTIVE(o) -> PARKED(o)              gp_pool_release  o, while a cancel is being delivered
 *   PARKED(o) -> HANDOFF(o)             gp_cancel_end    whoever delivered the last cancel
 *   IDLE(x) -> ACTIVE(o)                gp_pool_take, gp_slot_seize   any holder of the descriptor
 *   HANDOFF(o) -> ACTIVE(o)             gp_pool_next_handoff   o
 *   HANDOFF(o) -> IDLE(w), FREE         gp_pool_next_handoff   o, when it was meant for the process
 *                                       that had o's place before; as for a dead one, below
 *   ACTIVE, PARKED, REAP(o) -> CLOSING(o)   gp_slot_closing   o
 *   CLOSING(o) -> FREE                  gp_slot_free     o, when PostgreSQL has hung up
 *
 * and for a dead worker d, by gp_segment_reclaim in the master, where w is the lowest living worker
 * that holds the descriptor:
 *
 *   IDLE(d), HANDOFF(d) -> IDLE(w)      clean; without a w FREE: the death has closed it
 *   CONNECTING(d) -> FREE               the death has closed it
 *   ACTIVE, PARKED, CLOSING, REAP(d) -> REAP(w)   nobody knows what PostgreSQL does for it: w
 *                                       closes it; without a w any that lives cancels what it does,
 *                                       the death has closed it; if none lives REAP(d), for d's
 *                                       successor
 *
 * The generation grows by one at CLOSING/CONNECTING -> FREE, so a descriptor or a name kept from an
 * earlier life never fits.
 *
 * Holders. A descriptor goes to every worker, but for that of a server with TLS, which only the
 * worker that opened it holds. A fresh server may be handed to a worker in whose inbox the descriptor
 * lies: it looks there first (gp_worker_expects). Everything above looks at `holders` before it gives
 * a slot to anyone, so one with TLS goes through the same steps with one worker in it: never HANDOFF to
 * another, never IDLE(x) -> ACTIVE(o) for another o, no heir. Its place comes to another worker by
 * CLOSING and FREE (yield.c).
 *
 * Waiting. A client that finds no server joins the queue of its worker (private memory, in order
 * of arrival) and its worker publishes a *ticket*, the time of arrival, in the ring of its lane.
 * Who frees a slot compares the oldest tickets of all lanes, claims one (compare-and-swap on that
 * ring's head), and hands the slot to that lane's worker, which gives it to the first client of its
 * queue. Tickets are promises of order, the private queue is the truth: a ticket too many costs one
 * bounce, a ticket too few is published again by the sweep. The race of a waiter that looks while a
 * releaser frees is closed from both sides: publish, fence, look for idle slots (gp_pool_settle);
 * set idle, fence, look for tickets (gp_pool_release). model/pool.pml proves it.
 *
 * The idle bit of a slot is set before its word says IDLE(w) and cleared by the taker after the
 * word says otherwise, so IDLE(w) without a bit does not exist. A bit without IDLE(w) may (its
 * taker died between the two steps); it misleads nobody, for the word is the truth, and goes with
 * the next take. */
#ifndef GP_POOL_H
#define GP_POOL_H

#include "layout.h"

/* ---- the word of a slot ---- */
struct gp_word gp_word_unpack(uint64_t word);
/* What the word of a slot says now; acquire: what else stands in the slot is as of then. */
struct gp_word gp_slot_word(struct gp_segment *seg, uint32_t pool, uint32_t slot);
uint64_t gp_word_pack(struct gp_word word);

/* ---- waking workers; the life of the segment is in engine_segment.h ---- */

/* Wake a worker: at most one eventfd write until it has called gp_worker_unpoke. Never blocks. */
void gp_worker_poke(struct gp_segment *seg, uint32_t worker);
/* The worker's side: forget earlier pokes; whatever was published before them is then visible.
 * Afterwards look at all of it: gp_pool_next_handoff until false, then for each pool with clients
 * that wait gp_pool_settle and gp_pool_claim. */
void gp_worker_unpoke(struct gp_segment *seg, uint32_t worker);
/* The worker's first call, after the fork: its place is alive from now on, and it finds itself
 * poked. */
void gp_worker_born(struct gp_segment *seg, uint32_t worker, uint32_t pid);

/* ---- take, wait, release: the hot path ---- */

/* Take an idle slot for a client, the worker's own first (lowest index: the warmest), then any
 * other whose descriptor the worker holds. Never one that a published waiter could have (no
 * barging), never a stale one (see GP_RELEASED_STALE; expired ones are given: they end at their
 * release). Counts taken_own and taken_other. Gives the slot, now ACTIVE(worker, client), or
 * GP_NO_SLOT. The caller's own queue is empty. */
uint32_t gp_pool_take(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint32_t client);

/* Publish one waiter of this lane; false: the ring is full (publish it later, in order). The
 * caller then calls gp_pool_settle. */
bool gp_lane_publish(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint64_t arrival_ns);

/* Say anew what one of this lane's tickets stands for: `back` places before the last one published,
 * less than GP_TICKETS. Whether it has been claimed by now does not matter. */
void gp_lane_restate(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint32_t back,
                     uint64_t arrival_ns);

/* Take back one ticket, the oldest, because a waiter left (if it was a younger one, those before it
 * now count as having arrived one place later, until they are restated). False: all are granted; a
 * slot will come and must be released again. */
bool gp_lane_retract(struct gp_segment *seg, uint32_t pool, uint32_t worker);

/* Say that the lane's private queue is empty (no ticket will follow). Tickets still in the ring are
 * retracted. */
void gp_lane_quiet(struct gp_segment *seg, uint32_t pool, uint32_t worker);

/* Tickets of this lane that nobody has claimed yet. */
uint32_t gp_lane_outstanding(struct gp_segment *seg, uint32_t pool, uint32_t worker);

/* For slots that one worker alone holds (yield.c). The arrival of the oldest published waiter of any
 * other living worker; UINT64_MAX: there is none. */
uint64_t gp_pool_elder(struct gp_segment *seg, uint32_t pool, uint32_t worker);
/* How many published waiters the other living workers have. */
uint32_t gp_pool_tickets(struct gp_segment *seg, uint32_t pool, uint32_t worker);
/* Places that the waiters of other workers may count on: FREE (as far as the database has room) or
 * soon to be (CLOSING), or with a login of theirs in flight. */
uint32_t gp_pool_room(struct gp_segment *seg, uint32_t pool, uint32_t worker);
/* Poke every other worker that has idle slots in the pool. */
void gp_pool_poke_idle(struct gp_segment *seg, uint32_t pool, uint32_t worker);

enum gp_release {
    GP_RELEASED_IDLE,   /* nobody waits: it is in the worker's idle set */
    GP_RELEASED_SELF,   /* the worker's own oldest waiter has it: still ACTIVE(worker), link it */
    GP_RELEASED_AWAY,   /* handed to another worker, which has been poked */
    GP_RELEASED_PARKED, /* a cancel is being delivered: it comes back by gp_pool_next_handoff */
    GP_RELEASED_STALE   /* pool removed, shrunk or renewed, or its lifetime over: still
                           ACTIVE(worker), retire it */
};

/* Give back a slot that is ACTIVE(worker): clean, in sync, nothing unread. Hands it to the oldest
 * ticket of all lanes whose worker lives and holds the descriptor; a ticket of this worker wins
 * when it is at most slack_ns younger. Counts handed_away. A slot that is not ACTIVE(worker) is
 * left alone: GP_RELEASED_AWAY. sent: workers in whose inbox the descriptor lies; they count as
 * holders, and look there before they look for what has been handed to them. */
enum gp_release gp_pool_release(struct gp_segment *seg, uint32_t pool, uint32_t slot,
                                uint32_t worker, uint64_t now_ns, uint64_t slack_ns, uint64_t sent);

/* Match idle slots with tickets until one of them runs out (the second look of a waiter; the
 * sweep; after gp_slot_hold). Looks at slots whose descriptor the worker holds. Slots granted to
 * this worker come by gp_pool_next_handoff (it is poked). */
void gp_pool_settle(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint64_t now_ns);

/* Whether the inbox is to be looked at before gp_pool_next_handoff; said once. */
bool gp_worker_expects(struct gp_segment *seg, uint32_t worker);

/* Next slot handed to this worker, now ACTIVE(worker, no client). False: none is left. */
bool gp_pool_next_handoff(struct gp_segment *seg, uint32_t worker, uint32_t *pool, uint32_t *slot);

/* Name the client of a slot that is ACTIVE(worker). */
void gp_slot_assign(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker,
                    uint32_t client);

/* ---- open and close ---- */

/* Claim a place for one more server: FREE -> CONNECTING(worker). GP_NO_SLOT: the pool is paused (its
 * waiters are poked at the end of that), pool_size is reached
 * (a worker whose waiters are published is poked when a slot becomes FREE), or as many logins are
 * in flight as the pool or the whole house allows (the worker is poked when one ends); a pool whose
 * last login failed allows one, and none before its time (outage.h). Publish and settle first, then
 * claim. */
uint32_t gp_pool_claim(struct gp_segment *seg, uint32_t pool, uint32_t worker);
/* Whether the pool was found to have no FREE slot, and none has become so since. */
bool gp_pool_full(struct gp_segment *seg, uint32_t pool);
/* Whether as many logins are in flight as the pool or the house allows. */
bool gp_pool_gate_shut(struct gp_segment *seg, uint32_t pool);
/* The same with a place of the database's reserve (coordinator.h tells when). */
uint32_t gp_pool_claim_reserve(struct gp_segment *seg, uint32_t pool, uint32_t worker);

/* Whether the last login of the pool, or of another at its server, has failed: outage.h. */
bool gp_pool_ailing(struct gp_segment *seg, uint32_t pool);

/* The login is done: CONNECTING(worker) -> ACTIVE(worker, no client). Frees the places of the
 * login; the worker is the first holder. A key longer than GP_KEY_BYTES counts as none. If the
 * pool was ailing, it is well now: outage.h. Counts logins. */
void gp_slot_opened(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker,
                    uint32_t backend_pid, const uint8_t *key, uint32_t key_length, uint64_t now_ns,
                    uint64_t expires_ns);

/* This worker received the descriptor of a slot in that generation. False: that life is over. */
bool gp_slot_hold(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t generation,
                  uint32_t worker);

/* Take a certain idle slot out of the pool: IDLE -> ACTIVE(worker, no client). False: it is not
 * idle any more. */
bool gp_slot_seize(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker);

/* ACTIVE(worker), PARKED(worker) or REAP(worker) -> CLOSING(worker). The place stays taken until
 * PostgreSQL has hung up, so the limit holds for its backends too. False: not this worker's. */
bool gp_slot_closing(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker);

/* CLOSING(worker) or CONNECTING(worker) -> FREE; frees the places of a login (and counts
 * login_failures); pokes the workers that wait. */
void gp_slot_free(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker);
/* The same for a login that has not begun: no failure. */
void gp_slot_spare(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker);

/* ---- cancel ---- */

/* Find the server of a client whose key this is, and keep it from changing hands. GP_ENOENT: no
 * such client, wrong key. GP_AGAIN: it has no server now (waiting: *waiting is true). GP_EFULL: too
 * many cancels at once. A GP_OK is answered by one gp_cancel_end; if that never comes (its worker
 * died), the slot stays PARKED until its owner closes it. */
enum gp_result gp_cancel_begin(struct gp_segment *seg, uint32_t client, const uint8_t *key,
                               uint32_t key_length, uint32_t *pool, uint32_t *slot,
                               uint32_t *generation, bool *waiting);
/* The same of a slot that is ACTIVE for this client, whoever wants it cancelled. GP_AGAIN: it is not
 * any more. */
enum gp_result gp_cancel_pin(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t client,
                             uint32_t *generation);
/* PostgreSQL has closed the cancel connection (or it failed). generation: as read at begin. */
void gp_cancel_end(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t generation);

/* ---- clients ---- */

/* Claim a client row for a worker; reserve: rows beyond clients_limit (admin) may be used.
 * GP_NO_CLIENT: full. */
uint32_t gp_client_claim(struct gp_segment *seg, uint32_t worker, bool reserve);
void gp_client_release(struct gp_segment *seg, uint32_t client, uint32_t worker);
/* The worker that has this row; UINT32_MAX: it is free. */
uint32_t gp_client_worker(struct gp_segment *seg, uint32_t client);

/* ---- moves: move.h tells who does what when ---- */

/* Offer a row of this worker's to another. Gives the offer, which is one of a kind; 0: it is not this
 * worker's. */
uint64_t gp_client_offer(struct gp_segment *seg, uint32_t client, uint32_t worker, uint32_t to);
/* Take it: the row is `to`'s from here on. False: it has been taken back, or its owner has died. */
bool gp_client_adopt(struct gp_segment *seg, uint32_t client, uint64_t offer);
/* Take it back, or decline it: the row is again its owner's alone. False: it has been taken. */
bool gp_client_withdraw(struct gp_segment *seg, uint32_t client, uint64_t offer);
/* Whether it is still neither taken nor withdrawn, its owner alive. */
bool gp_client_offered(struct gp_segment *seg, uint32_t client, uint64_t offer);

/* A server goes with its client: ACTIVE(worker, client) -> ACTIVE(to, client), with its cancels. `to`
 * holds the descriptor. False: it is not that any more. */
bool gp_slot_convey(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t generation,
                    uint32_t worker, uint32_t client, uint32_t to);
/* IDLE(worker) -> IDLE(to), which holds the descriptor. False: it is not that any more. */
bool gp_slot_bequeath(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker,
                      uint32_t to);

#endif
