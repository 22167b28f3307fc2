/* A client that goes from worker 0 to worker 1 with its server, as a model: offer, adopt, convey,
 * withdraw (move.c, client_rows.c, slot.c), either worker dying between any two steps, and the reclaim.
 * A step below is one atomic operation there, and bears its name.
 *
 * Checked, over all interleavings:
 *   - nobody serves a client that another serves, or with a server that is not his (serve), or goes on
 *     by a record that is not the last (target);
 *   - when nothing can move any more, the row is free or its owner, who lives, serves it; and the
 *     slot is that one's, or closed, or somebody alive is to close it (monitor).
 *
 * Left out: time (an offer may be withdrawn at any moment), successors, cancels. Sequentially
 * consistent memory: each decision is one compare-and-swap.
 *
 * -D parameters: OFFERS that worker 0 makes, KILLS. Those that break the model, for `check` to see that
 * it can fail: NO_STAMP (offers are all alike), BLIND_CONVEY (the slot is taken without a look),
 * NO_RETIRE (the source forgets a server that nobody took). */

#ifndef OFFERS
#define OFFERS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif

#define NONE   255
#define CLOSED 254
#define REAP   253

byte owner = 0;     /* of the row: a worker, or NONE */
byte offered = 0;   /* 0, or the stamp of the offer to worker 1 */
byte slot = 0;      /* ACTIVE(worker), REAP, CLOSED */
bool alive[2] = true;
bool killed[2];
bool serves[2];
bool away;          /* worker 0 has offered it and does not know more */
byte stamps;
byte kills = KILLS;
byte turn;          /* what the client has done so far: a record says as of when it is */
bool doomed;        /* somebody is to close the server, or has */
chan inbox = [OFFERS] of { byte, byte };

#ifdef NO_STAMP
#define STAMP 1
#else
#define STAMP stamps
#endif

inline serve(w) {
    assert(!serves[1 - w] && slot == w && owner == w);
    serves[w] = true;
    turn++
}

/* ---- worker 0 ---- */

inline come_back() {
    atomic {
        away = false;
        if
        :: slot == 0 -> serve(0)
        :: else -> owner = NONE /* its server is lost: it is told, and leaves */
        fi
    }
}

inline gone() {
    if
    :: atomic { slot == 0 && !alive[1] ->
#ifndef NO_RETIRE
            slot = CLOSED; doomed = true;
#endif
            away = false }
    :: atomic { slot != 0 -> away = false }
    fi
}

proctype source() {
    byte mine;
    bool won;
    {
        serve(0);
end:    do
        :: serves[0] && stamps < OFFERS ->
            atomic { serves[0] = false; stamps++; mine = STAMP; offered = mine; away = true };
            inbox!mine,turn
        :: away && offered == mine ->
            atomic { won = (owner == 0 && offered == mine); if :: won -> offered = 0 :: else fi };
            if
            :: won -> come_back()
            :: else
            fi
        :: away && offered != mine && owner == 0 -> come_back()
        :: away && offered != mine && owner != 0 -> gone()
        od
    } unless { killed[0] }
}

/* ---- worker 1 ---- */

proctype target() {
    byte offer, record;
    bool won;
    {
end:    do
        :: inbox?offer,record ->
            if
            :: atomic { offered == offer && owner == 0 -> owner = 1; offered = 0; won = true } /* adopt */
            :: atomic { offered == offer && owner == 0 -> offered = 0; won = false }  /* decline */
            :: atomic { !(offered == offer && owner == 0) -> won = false }
            fi;
            if
            :: won ->
                assert(record == turn);
                atomic { /* convey */
                    if
#ifdef BLIND_CONVEY
                    :: true -> slot = 1; serve(1)
#else
                    :: slot == 0 -> slot = 1; serve(1)
                    :: else -> owner = NONE
#endif
                    fi
                }
            :: else
            fi
        od
    } unless { killed[1] }
}

/* ---- death, and the master ---- */

proctype reclaim(byte dead) {
    alive[dead] = false;
    atomic { if :: owner == dead -> owner = NONE; offered = 0 :: else fi };
    atomic { if :: slot == dead -> slot = REAP; doomed = true :: else fi }
}

proctype reaper() {
    byte victim;

    do
    :: kills > 0 ->
        atomic {
            kills--;
            if :: !killed[0] -> victim = 0 :: !killed[1] -> victim = 1 fi;
            killed[victim] = true;
            serves[victim] = false;
            if :: victim == 0 -> away = false :: else fi
        };
        run reclaim(victim)
    :: true -> break
    od
}

proctype monitor() {
    timeout;
    assert(!away);
    assert(owner == NONE || (alive[owner] && serves[owner]));
    assert(slot == REAP || slot == CLOSED || (alive[slot] && (serves[slot] || owner == NONE)));
    assert(!doomed || slot == REAP || slot == CLOSED);
    assert(!(slot == 0 && !serves[0]) && !(slot == 1 && !serves[1]))
}

init {
    atomic { run source(); run target(); run reaper(); run monitor() }
}
