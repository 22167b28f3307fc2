/* A client and its server: the structures of the relay, private to one worker process.
 *
 * Law: relay.c alone changes the state of a client, of a server, and the link between them
 * (set_client_state, gp_server_enter). frontend.c reads what clients say, backend.c what servers
 * say, queue.c keeps those who wait, growth.c decides when to open servers, clean.c brings them to
 * rest, servers.c shares and retires them, move.c takes clients to other workers, engine.c is the
 * loop and the public face.
 *
 * A client (enum gp_client_state, engine_names.h):
 *
 *   FREE --it says who it is (guests.h)--> LOGIN
 *   LOGIN --let in--> IDLE --request--> ACTIVE --transaction over--> IDLE
 *                     |  \--no server--> WAITING --a server comes--> ACTIVE
 *                     |                   \--refused (cancel, query_wait_timeout)--> IDLE
 *                     v
 *        any --finish--> CLOSING (its last words are unsent) --> GONE (Python says goodbye)
 *
 *   IDLE, WAITING, ACTIVE --> the same in another worker, which makes another struct of it (move.h)
 *
 * A server, as this worker sees it (the segment's slot word says what all workers see):
 *
 *   REST     held, not ours to use: idle, or another worker's at this moment; never read
 *   LINKED   relays for its client
 *   APPLY    linked; it is made fit for its client (parameter state, sequences.h), whose bytes wait
 *   LOOK     linked; the transaction is over, PostgreSQL is asked what the session has become
 *   ORPHAN   its client is gone; what was asked is answered to nobody, then it is cleaned
 *   CLEAN    greenpool's own ROLLBACK or DISCARD ALL runs
 *   PARKED   at rest until a cancel request has been delivered; comes back as a hand-off
 *   OUT      CLOSING in the segment: Python ends it
 *
 *   REST --link--> LINKED <--> APPLY, LOOK; LOOK --> APPLY
 *   LINKED --transaction over--> REST            LINKED, APPLY, LOOK --client gone--> ORPHAN
 *   LINKED --client moves to another worker--> REST here, REST --> LINKED there
 *   LINKED, ORPHAN --> CLEAN --> REST            REST --> PARKED --> REST        any --> OUT
 *
 * The todo list holds connections that must be looked at once more before the step ends (gp_turn):
 * a client that got a server or may be read again, a connection whose socket failed under a send.
 * Nothing recurses through it. */
#ifndef GP_RELAY_H
#define GP_RELAY_H

#include "engine.h"
#include "pool.h"
#include "protocol.h"
#include "replies.h"
#include "statements.h"
#include "transport.h"

/* An own waiter this much younger may go first: a hand-over costs two wake-ups. */
#define GP_SLACK_NS 1000000ull
/* Bounds of cleaning up behind a vanished client; of delivering last words, and of a half-close. */
#define GP_ORPHAN_NS  5000000000ull
#define GP_CLOSING_NS 5000000000ull
/* While hot, libev runs at least this often; hot is a worker with so many batches in a tick's time:
 * more crossings of the hub are spared then than the ticks cost. Many clients are few batches. */
#define GP_TICK_NS     10000000u
#define GP_HOT_BATCHES 4u
#define GP_BOUND_NS    1000000ull /* a step works no longer than about this */
/* State hashes: of a server as it was at its login or after DISCARD ALL; of nobody knows what. */
#define GP_STATE_FRESH   0ull
#define GP_STATE_UNKNOWN UINT64_MAX
#define GP_STATE_BUCKETS 1024u
/* Messages whose body decides are collected up to these sizes: any; the row of a LOOK. */
#define GP_HELD_MAX     16384u
#define GP_HELD_ROW_MAX 1048576u

/* A parameter state: what makes a server fit clients whose sessions are so. Interned per worker.
 *
 *     data:  | Query message that makes it so | question | names |
 *             length                           look_length names_length
 *
 * The question stands in states of a beginning, the names in those that a session came to. */
struct gp_state {
    struct gp_state *next; /* of the same bucket */
    uint64_t hash;
    uint64_t parse_hash; /* part of the identity of statements parsed under it; 0: no matter */
    bool temporary;      /* new relations are temporary, by its search_path */
    uint32_t refs;
    uint32_t length, look_length, names_length;
    uint32_t bytes; /* of all of it */
    uint8_t data[];
};

/* Of a Describe: whether ParameterDescription has come, and whether it will come a second time. */
enum gp_described { GP_DESCRIBED_NOT = 0, GP_DESCRIBED, GP_DESCRIBED_AGAIN };

/* How a client broke the protocol; clients.c has the words. */
enum gp_breach {
    GP_BREACH_NONE = 0,
    GP_BREACH_LENGTH,
    GP_BREACH_TYPE,
    GP_BREACH_STATEMENT, /* it is too long */
    GP_BREACH_MEMORY,    /* not its fault: there is no room for its statement */
    GP_BREACHES
};

enum gp_server_state {
    GP_SERVER_REST = 0,
    GP_SERVER_LINKED,
    GP_SERVER_APPLY,
    GP_SERVER_LOOK,
    GP_SERVER_ORPHAN,
    GP_SERVER_CLEAN,
    GP_SERVER_PARKED,
    GP_SERVER_OUT,
    GP_SERVER_STATES
};

struct gp_entrance;
struct gp_listener;
struct gp_plans;

struct gp_client {
    struct gp_conn conn;
    uint32_t id; /* row + 1; 0 while FREE */
    uint32_t pool;
    uint8_t state;   /* enum gp_client_state */
    uint8_t reason;  /* enum gp_reason: why it is CLOSING or GONE */
    uint8_t leaving; /* enum gp_reason: it asks for nothing more; ends when its replies are out */
    uint8_t skipping : 1;    /* unlinked, its request was refused: drop what comes up to Sync */
    uint8_t msg_forward : 1; /* what remains of the message goes to the server, or is dropped */
    uint8_t published : 1;   /* while WAITING: a ticket stands for it */
    uint8_t parted : 1;      /* leaving, and its server has been told to end what it left open */
    uint8_t held_back : 1;   /* its next message needs a reply to an earlier one first */
    uint8_t told : 1;        /* WAITING: and it knows (query_wait_notify) */
    uint8_t forgotten : 1;   /* Python is done with it: freed when the todo list lets go */
    uint8_t todo : 1;
    uint8_t patient : 1;  /* WAITING: no server is opened for its sake yet (growth.h) */
    uint8_t own : 1;      /* of greenpool itself: its coming and going are not counted */
    uint32_t msg_left;    /* bytes of the current message still to come */
    struct gp_buffer *in; /* received, not yet processed */
    struct gp_server *server;
    struct gp_state *base;             /* what its startup packet asked for */
    struct gp_state *params;           /* what its session is now */
    uint8_t breach;                    /* enum gp_breach: leaving because of that */
    uint8_t pins;                      /* enum gp_pin: why it keeps its server */
    uint8_t begun;                     /* deferred.h: a transaction that has no server yet */
    uint8_t target;                    /* move.h: the worker + 1 that it is to go to; 0: none */
    struct gp_names names;             /* of its prepared statements */
    struct gp_client *before, *behind; /* WAITING: the pool's queue; FREE: the other guests */
    struct gp_conn *next_todo;
    struct gp_entrance *entrance; /* entrance.h: until it is let in */
    uint64_t since_ns; /* WAITING: arrival; CLOSING, parted: beginning; else the last request */
    uint64_t moved_ns; /* while it does not read: when it last did */
    uint32_t lay;      /* ... and what was unsent when last looked at */
};

struct gp_server {
    struct gp_conn conn;
    uint32_t pool, slot, generation;
    uint8_t state;             /* enum gp_server_state */
    uint8_t txn;               /* of the last ReadyForQuery: 'I' 'T' 'E' */
    uint8_t status;            /* the same, but 0 while anything has been asked since */
    uint8_t in_copy : 1;       /* COPY FROM: between CopyInResponse and its end */
    uint8_t client_copies : 1; /* ... and the client has not ended it: its Syncs are ignored */
    uint8_t early : 1;         /* ... has sent Syncs within it: ignored, if it was read so far */
    uint8_t doubtful : 1;      /* ... and it failed: nobody knows how many of them are answered */
    uint8_t copies_out : 1;    /* COPY TO: between CopyOutResponse and its end */
    uint8_t begun : 1;         /* part of the oldest request's reply has come */
    uint8_t skipping : 1;      /* an error was reported: requests up to Sync get no reply */
    uint8_t msg_forward : 1;
    uint8_t said_fatal : 1; /* it told its client why it hangs up */
    uint8_t failed : 1;     /* an error during APPLY or CLEAN */
    uint8_t canceling : 1; /* Python cancels its orphaned query: not released before that is done */
    uint8_t renames : 1;   /* linked: statements are exchanged (prepare.h); not in session mode */
    uint8_t checked : 1;   /* APPLY: and it is asked whether it is there */
    uint8_t mends : 1;     /* APPLY after a LOOK: its client is told what comes back */
    uint8_t forgets : 1;   /* DISCARD ALL in this transaction: earlier dotted settings are gone */
    uint8_t hides : 1;     /* a dotted setting may have been made whose name could not be read */
    uint8_t unsure : 1;    /* settings may have been made that no question finds */
    uint8_t own : 1;       /* nobody else can have the same `reads` */
    uint8_t defines : 1;   /* a function or its like has been defined in this transaction */
    uint8_t draws : 1;     /* sequences may have given it values (sequences.h) */
    uint8_t judges : 1;    /* a text of this transaction may be suspect (suspects.h) */
    uint8_t opening : 1;   /* a deferred BEGIN has been sent and is not confirmed (deferred.h) */
    uint8_t stale_known : 1; /* the statement below is to be closed: see heal.h */
    uint8_t renew : 1; /* some statement is stale, nobody knows which: close it when it rests */
    uint8_t todo : 1;
    uint8_t began;     /* modes of the deferred BEGIN that the kept bytes begin with; 0: none */
    uint8_t described; /* enum gp_described */
    uint8_t session;   /* enum gp_session_state of its pool, as long as the link lasts */
    uint8_t left;   /* enum gp_pin: what the transaction may leave or have ended (continuity.h) */
    uint8_t undo;   /* enum gp_pin: what nobody shall inherit; undone before release */
    uint16_t hints; /* enum gp_hint of the texts since the last transaction */
    uint32_t msg_left;
    uint32_t segment;     /* counts requests that end with ReadyForQuery */
    uint32_t opened;      /* opening: the segment that begins with BEGIN */
    struct gp_buffer *in; /* an incomplete header, or a message whose body decides */
    struct gp_client *client;
    struct gp_buffer *error;  /* APPLY: PostgreSQL's own ErrorResponse */
    struct gp_buffer *answer; /* LOOK: the row */
    struct gp_buffer *said;   /* dotted settings in those texts: ",app.x,app.y" */
    struct gp_conn *next_todo;
    struct gp_server *grave;
    uint64_t sent;     /* fresh: workers to which its descriptor is on the way */
    uint64_t suspects; /* the pool's word when the transaction began (suspects.h) */
    uint64_t reads;    /* how texts are parsed in this transaction; 0: as the client's state says */
    uint64_t since_ns; /* when it entered its state; LINKED: when its transaction began or ended */
    uint64_t query_ns; /* when the oldest unanswered request was sent, or the last one answered */
    uint64_t moved_ns; /* COPY: when its client last sent or read something */
    uint64_t overdue_ns;    /* when PostgreSQL was last asked to cancel a query: query_timeout */
    struct gp_times *times; /* of this worker in its pool */
    uint32_t lay;           /* COPY: bytes between the two when last looked at */
    struct gp_kept *kept;
    struct gp_sid stale;
    struct gp_replies replies;
    struct gp_intent *intents_first, *intents_last; /* prepare.h */
};

/* What growth.c keeps of a pool in this worker. */
struct gp_pace {
    uint32_t patient;             /* of those who wait */
    uint32_t used, opening, near; /* servers, as of ... */
    uint64_t counted_ns;          /* ... this batch */
    uint64_t patience_ns;         /* of those who are patient */
    uint64_t count, sum_ns;       /* of transactions, as of ... */
    uint64_t measured_ns;         /* ... this look */
    uint64_t kept_ns;             /* how long they have kept a server; 0: none has ended yet */
};

/* Those who wait for a server of one pool, oldest first; the first `published` of them have a
 * ticket. */
struct gp_queue {
    struct gp_client *first, *last, *unpublished;
    uint32_t length;
    uint32_t opening; /* logins this worker has in flight for the pool */
    uint32_t pool;
    uint64_t since_ns; /* when it last came to have waiters */
    struct gp_pace pace;
    struct gp_queue *before, *behind; /* queues that have waiters */
    bool secured;                     /* the last server that this worker opened has TLS: yield.c */
    uint64_t yield_at_ns;             /* none is yielded before this */
    uint64_t heard;      /* version of the pool's outage note that was looked at last */
    uint64_t pressed_ns; /* when it last asked for a place of its database, and ... */
    uint64_t denied_ns;  /* ... when there was none to be had: evict.c */
    bool renewing;       /* lifetimes.h: `fresh` is being opened to replace `ripe` */
    uint32_t owed;       /* ... and so many have been closed whose places are to be taken again */
    uint32_t fresh, ripe, ripe_generation;
};

/* Clients that are FREE, in the order of their arrival: guests.h. */
struct gp_guest_list {
    struct gp_client *first, *last;
};

/* Which of them shake hands when: handshakes.c. */
struct gp_handshakes {
    uint64_t batch_ns; /* in the batch of this time ... */
    uint32_t taken;    /* ... so many had their turn, ... */
    bool due;          /* ... and others have none yet */
};

struct gp_guests {
    struct gp_guest_settings is;
    struct gp_guest_list waiting, strange;
    struct gp_handshakes handshakes;
    uint32_t count;
    struct gp_buffer *said; /* by the one that was taken last */
};

struct gp_engine {
    struct gp_segment *seg;
    struct gp_worker *me;
    struct gp_transport *transport;
    uint32_t worker;
    int32_t loop_fd; /* -1: never sleep hot */
    uint64_t now;    /* read once a batch */
    uint64_t census_at, sweep_at, yield_at;
    uint64_t batches_since;           /* when `batches` began to count */
    uint32_t batches, batches_before; /* that relayed something: in this tick's time, in the last */
    uint64_t births_seen, controls_seen;
    bool draining, drained, ticking,
        ticked; /* ticking: the timer runs; ticked: it fired in this step */
    struct gp_conn wake, inbox, tick, haste;
    uint64_t haste_at;          /* when `haste`, a timer, is due: growth.h; 0: it is not */
    uint64_t dice;              /* of its jitter */
    struct gp_client **clients; /* by row */
    uint32_t clients_live;      /* those who are away included */
    uint32_t movers;            /* clients with a target ... */
    uint64_t moves_at;          /* ... that are not tried before this */
    struct gp_away *away;       /* move.c: offered to other workers */
    uint64_t targets;           /* handover.c: who gets all we have; 0: nobody */
    struct gp_pump *pumps;      /* pump.h: at work, and ... */
    struct gp_pump *pumps_over; /* ... to be freed when no event of the batch can name them */
    uint32_t pumps_count;
    uint64_t look_at;              /* rebalance.c: when the load is compared next ... */
    uint32_t lopsided;             /* ... and how often in a row it was too much here */
    bool secured;                  /* some queue is */
    uint32_t linked;               /* servers with a client of this worker */
    bool suspended;                /* suspend.h */
    uint64_t resumed_ns;           /* when it last was so no more */
    struct gp_server ***servers;   /* [pool][slot], rows made when needed */
    struct gp_queue **queues;      /* by pool, made when needed */
    struct gp_answer **answers;    /* by pool: what needs no server (answers.h), or NULL */
    struct gp_suspects **suspects; /* by pool: what needs to be asked after (suspects.h), or NULL */
    struct gp_queue *waiting;      /* those with waiters */
    struct gp_conn *todo_first, *todo_last;
    struct gp_server *graves; /* to be freed when no event of the batch can name them */
    struct gp_state *states[GP_STATE_BUCKETS];
    struct gp_interner interner;
    struct gp_intent *spare_intents; /* prepare.h */
    uint32_t spare_intents_count;
    uint64_t reads_made; /* that are one client's own */
    bool quiet;          /* Python need not hear of those who leave */
    struct gp_listener *listeners;
    bool crowded; /* at the listeners: a batch of accepts was not enough */
    struct gp_guests guests;
    struct gp_plans *plans;     /* NULL: none was ever known */
    struct gp_changes *changes; /* changes.h; NULL: there were none */
    struct gp_event *events;    /* for Python, a growing array read from the front */
    uint32_t events_first, events_count, events_cap;
};

/* ---- relay.c ---- */

/* Give a client a server: true when it may send now, false when it waits (or its parameter state is
 * on the way). */
bool gp_link_acquire(struct gp_engine *e, struct gp_client *c);
/* Link a server that is ACTIVE(this worker) with a client. */
void gp_link_start(struct gp_engine *e, struct gp_server *s, struct gp_client *c);
/* Put on a linked server what its client needs before its next byte: state APPLY until that is
 * done. */
void gp_link_prepare(struct gp_engine *e, struct gp_server *s);
/* Look what is next for a server: release, clean, retire, or nothing yet. Called whenever it may
 * have come to rest. */
void gp_link_turn(struct gp_engine *e, struct gp_server *s);
/* A server that is ACTIVE(this worker), clean and nobody's: to the oldest waiter or to rest. */
void gp_server_release(struct gp_engine *e, struct gp_server *s);
/* Close a server with all that it does, and its client with the words of the reason. */
void gp_link_break(struct gp_engine *e, struct gp_server *s, enum gp_reason reason);
/* The connection is of no more use: tell its client (if PostgreSQL has not) and retire it. */
void gp_server_lost(struct gp_engine *e, struct gp_server *s, enum gp_reason reason);
/* Only relay.c, clean.c and servers.c: the one mutator. */
void gp_server_enter(struct gp_engine *e, struct gp_server *s, enum gp_server_state state);

/* It has this row from now on: FREE --> LOGIN. */
void gp_client_seat(struct gp_engine *e, struct gp_client *c, uint32_t client);
/* A client that has been let in: LOGIN --> IDLE. */
void gp_client_begin(struct gp_engine *e, struct gp_client *c);
/* End a client: its server is cleaned up, its last words are delivered, Python says goodbye. */
void gp_client_finish(struct gp_engine *e, struct gp_client *c, enum gp_reason reason);
/* The same, with the words of the reason first, if it has any; or with ... */
void gp_client_end(struct gp_engine *e, struct gp_client *c, enum gp_reason reason);
/* ... these, as FATAL. */
void gp_client_fail(struct gp_engine *e, struct gp_client *c, enum gp_reason reason,
                    const char *sqlstate, const char *message);
/* Answer a WAITING client's request with an ERROR; it stays connected. */
void gp_client_refuse(struct gp_engine *e, struct gp_client *c, const char *sqlstate,
                      const char *message);
/* The worker drains: end it with 57P01 if it is at rest. */
void gp_client_drain(struct gp_engine *e, struct gp_client *c);
/* Its client goes to another worker: the server of it is at rest, as far as this one knows. Its
 * connection is detached. */
void gp_link_part(struct gp_engine *e, struct gp_client *c);
/* ... and has come from another: they are linked as they were there. */
void gp_link_restore(struct gp_engine *e, struct gp_server *s, struct gp_client *c);
/* Whether nothing may be read from it now. */
bool gp_client_blocked(const struct gp_client *c);
/* Look at a connection again whose turn it is. */
void gp_turn(struct gp_engine *e, struct gp_conn *conn);

/* ---- todo.c ---- */
/* Have a connection looked at again at the end of the batch; once, however often it is asked for. */
void gp_todo(struct gp_engine *e, struct gp_conn *conn);
/* Tell Python at the end of the step. */
void gp_event_push(struct gp_engine *e, enum gp_event_kind kind, uint32_t client, uint32_t pool,
                   uint32_t slot, uint64_t detail);

/* ---- clients.c ---- */
struct gp_client *gp_client_find(struct gp_engine *e, uint32_t client); /* NULL: not here */

/* ---- clean.c ---- */
/* Its client says no more: end what it left open, so that the server comes to rest. */
void gp_link_wind_up(struct gp_engine *e, struct gp_server *s);
/* Its client is gone. midway: in the middle of a message, so that nothing can be mended. */
void gp_server_orphan(struct gp_engine *e, struct gp_server *s, bool midway);
/* A quiet server without a client: make it as it was, then give it back. */
void gp_server_clean(struct gp_engine *e, struct gp_server *s);
/* A COPY failed with Syncs inside: find out where the answers to those end. */
void gp_server_fence(struct gp_engine *e, struct gp_server *s);

/* ---- states.c ---- */
/* The state of a beginning with this hash, one reference more; look: the question of continuity.h,
 * or empty. NULL: no memory. */
struct gp_state *gp_state_intern(struct gp_engine *e, uint64_t hash, struct gp_span sql,
                                 struct gp_span look, enum gp_claim claim);
/* The state that this text makes, of which its hash is made; names: the dotted settings in it. */
struct gp_state *gp_state_of_text(struct gp_engine *e, struct gp_span sql, struct gp_span names,
                                  enum gp_claim claim);
struct gp_state *gp_state_share(struct gp_state *state);
void gp_state_release(struct gp_engine *e, struct gp_state *state);

/* ---- clients.c ---- */
/* It is GONE: forget it, and close its socket, if that is all there is to do. */
bool gp_client_let_go(struct gp_engine *e, const struct gp_client *c);
/* End a client that is leaving, all owed replies delivered: with its breach, if there is one. */
void gp_client_depart(struct gp_engine *e, struct gp_client *c);
/* Free all that a client owns but for its connection. */
void gp_client_clear(struct gp_engine *e, struct gp_client *c);

/* ---- frontend.c, backend.c ---- */
void gp_frontend_received(struct gp_engine *e, struct gp_client *c, const uint8_t *data,
                          size_t len);
/* Process what is buffered, if anything may be; then read on if nothing blocks. */
void gp_frontend_continue(struct gp_engine *e, struct gp_client *c);
void gp_backend_received(struct gp_engine *e, struct gp_server *s, const uint8_t *data, size_t len);
/* A server nobody uses has something to say: read it. GP_OK: it may be used; GP_EOF or GP_EPROTO:
 * it may not. */
enum gp_result gp_backend_listen(struct gp_engine *e, struct gp_server *s);

/* ---- queue.c ---- */
struct gp_queue *gp_queue_at(struct gp_engine *e, uint32_t pool); /* NULL: no memory */
/* Join the queue, publish, look a second time. */
void gp_queue_join(struct gp_engine *e, struct gp_client *c);
/* For another worker's queue, where its wait goes on; or for good, and the wait is over. */
void gp_queue_leave(struct gp_engine *e, struct gp_client *c);
void gp_queue_quit(struct gp_engine *e, struct gp_client *c);
/* Oldest waiter, taken from the queue because its ticket was claimed; NULL: nobody waits any more.
 */
struct gp_client *gp_queue_pop(struct gp_engine *e, uint32_t pool);
/* Link every slot that was handed to this worker. */
void gp_queue_handoffs(struct gp_engine *e);
/* Time-outs, tickets lost with a dead worker, growth. */
void gp_queue_sweep(struct gp_engine *e);
/* Tell those who wait what a login has been told since the last look. */
void gp_queue_hear(struct gp_engine *e, struct gp_queue *q);

/* ---- servers.c ---- */
struct gp_server *gp_server_find(struct gp_engine *e, uint32_t pool,
                                 uint32_t slot); /* NULL: not held */
void gp_server_retire(struct gp_engine *e, struct gp_server *s, enum gp_reason reason);
/* The same of one at rest. False: it is not, or not here. */
bool gp_server_retire_idle(struct gp_engine *e, uint32_t pool, uint32_t slot,
                           enum gp_reason reason);
/* Why one that was released must go (lifetimes.c). */
enum gp_reason gp_lifetime_ended(struct gp_engine *e, const struct gp_server *s);
/* Have Python cancel what an orphan still runs; it is not released before that is done. */
void gp_server_cancel(struct gp_engine *e, struct gp_server *s);
/* What goes by time or by another worker's fate: lifetimes, slots to reap, descriptors to share. */
void gp_servers_census(struct gp_engine *e);
void gp_servers_bury(struct gp_engine *e);
/* A descriptor that this worker has from now on, in state REST. NULL: no memory. */
struct gp_server *gp_server_hold(struct gp_engine *e, uint32_t pool, uint32_t slot,
                                 uint32_t generation, int32_t fd);
/* Free and forget what this process knows of a link: nothing but the descriptor is left. */
void gp_server_clear(struct gp_engine *e, struct gp_server *s);
/* Let go of a descriptor; the struct is freed when the batch is over. */
void gp_server_drop(struct gp_engine *e, struct gp_server *s);

/* ---- engine.c: placement ---- */
/* The worker that should serve a connection that this one has just accepted: one of those that want
 * any; this one if none does. */
uint32_t gp_engine_place(struct gp_engine *e);
/* Whether that may be this one. */
bool gp_place_may_be_here(struct gp_engine *e);
/* Somebody who was counted there has left. */
void gp_place_vacated(struct gp_engine *e);

/* ---- inbox.c ---- */
void gp_inbox_receive(struct gp_engine *e);
/* Pass an accepted descriptor, nothing read from it yet, to another worker. The caller still closes
 * its own copy. since_ns: as in guests.h. GP_AGAIN: its inbox is full. */
enum gp_result gp_inbox_pass(struct gp_engine *e, uint32_t worker, int32_t fd, uint64_t since_ns);
/* Send a worker a server's descriptor. GP_AGAIN: its inbox is full. */
enum gp_result gp_inbox_share(struct gp_engine *e, uint32_t worker, const struct gp_server *s);
/* Have a WAITING client of that worker answered with 57014. GP_AGAIN: its inbox is full. GP_ENOENT:
 * there is no such worker. */
enum gp_result gp_inbox_cancel(struct gp_engine *e, uint32_t worker, uint32_t client);
/* ---- yield.c: servers that other workers cannot take ---- */
/* A waiter that found the pool full: have other workers look whether they can do without one. */
void gp_yield_plead(struct gp_engine *e, struct gp_queue *q);
/* Whether the next free place should be another worker's. */
bool gp_yield_defers(struct gp_engine *e, struct gp_queue *q);
/* Whether a server that comes free now is to be retired for another worker's sake. */
bool gp_yield_released(struct gp_engine *e, struct gp_server *s);
/* Give up idle servers that others wait for. */
void gp_yield_sweep(struct gp_engine *e);

/* ---- evict.c ---- */
/* A pool whose database has a limit found no place: claim one with all that the database allows. */
uint32_t gp_place_press(struct gp_engine *e, struct gp_queue *q);
/* Whether a server of such a pool that comes free, ACTIVE(this worker), must go. */
bool gp_place_forbids(struct gp_engine *e, struct gp_server *s);
/* An idle slot of this worker's that has none of the ordinary places: it gets one, or is retired. */
void gp_place_census(struct gp_engine *e, uint32_t pool, uint32_t slot);
/* Close what others want, where this worker alone can. */
void gp_evict_sweep(struct gp_engine *e);
/* Whether a client of this queue has waited in vain for a place of its database, in words then; it is
 * counted. */
bool gp_place_exhausted(struct gp_engine *e, struct gp_queue *q, char *words, size_t size);

/* ---- suspects.c ---- */
void gp_suspects_free(struct gp_engine *e);

/* Claim a place for one more server. */
static inline uint32_t gp_place_claim(struct gp_engine *e, struct gp_queue *q)
{
    uint32_t slot = gp_pool_claim(e->seg, q->pool, e->worker);

    return slot != GP_NO_SLOT || !gp_pool_limited(e->seg, q->pool) ? slot : gp_place_press(e, q);
}

/* Why a server that comes free, ACTIVE(this worker), is not to serve anybody any more. */
static inline enum gp_reason gp_server_unwanted(struct gp_engine *e, struct gp_server *s)
{
    struct gp_slot *slot = gp_slot_at(e->seg, s->pool, s->slot);
    uint64_t expires = atomic_load_explicit(&slot->expires_ns, memory_order_relaxed);

    if (expires && e->now >= expires)
        return GP_REASON_LIFETIME;
    if (s->conn.tls && gp_yield_released(e, s))
        return GP_REASON_YIELDED;
    if (gp_pool_limited(e->seg, s->pool) && gp_place_forbids(e, s))
        return GP_REASON_DATABASE_LIMIT;
    return GP_REASON_NONE;
}

static inline bool gp_worker_lives(struct gp_engine *e, uint32_t worker)
{
    return (atomic_load_explicit(&gp_common_of(e->seg)->alive, memory_order_acquire) >> worker &
            1u) != 0;
}

static inline struct gp_counters *gp_counters_of(struct gp_engine *e, uint32_t pool)
{
    return &gp_meter_at(e->seg, pool, e->worker)->counters;
}

#endif
