/* The shared pool as a model: take, publish, settle, release, hand-off, leave, grow, and a worker
 * that dies between any two steps, with its reclaim and its successor. A step below is one atomic
 * operation of pool.c, slot.c, segment.c or reclaim.c, and bears the name of its function there;
 * only a look at all lanes is one step, for each lane's race is its own.
 *
 * Checked, over all interleavings:
 *   - a server is never in two hands, nor in hands without its descriptor (link, finish);
 *   - when nothing can move any more nobody waits, so no wake-up is lost (monitor);
 *   - and every server rests or is FREE, and IDLE(w) without its idle bit does not exist (monitor).
 * That a pool never has more servers than slots needs no proof: they are the words of an array.
 *
 * Left out, because it only chooses among what is possible here: time (any ticket may be the
 * oldest, any own one within the slack), places of logins, cancels, epochs. Memory is sequentially
 * consistent but for the two stores that the fences of pool.c guard: a ticket and an IDLE word
 * become visible at the fence or, without it, some time later.
 *
 * -D parameters: NW workers, NS slots, CL clients a worker, LEAVES waiters that give up, KILLS
 * workers that die, NEXT clients of a successor, NO_SUCCESSOR; COARSE: a poke is one step, for the
 * larger searches. Those that break the model, for
 * `check` to see that it can fail: NO_SECOND_LOOK, NO_RELEASE_FENCE, NO_SETTLE, NO_SETTLE_FENCE,
 * BIT_LATE, UNPOKE_EARLY, NO_ALIVE_LOOK, NO_HOLDER_LOOK, NO_HARD_POKE, NO_BIRTHS. */

#ifndef NW
#define NW 2
#endif
#ifndef NS
#define NS 1
#endif
#ifndef CL
#define CL 1
#endif
#ifndef LEAVES
#define LEAVES 0
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef NEXT
#define NEXT 0
#endif

#define NONE    255
#define KILLED  1
#define BURIED  2
#define GHOST   254 /* the user of a server whose user has died */
#define BIT(w)  (1 << (w))
#define IS(s, st, w) (state[s] == st && owner[s] == (w))
#ifdef NO_BIRTHS
#define MEANT(s, birth) true
#else
#define MEANT(s, birth) (meant[s] == birth)
#endif

mtype = { FREE, CONNECTING, IDLE, ACTIVE, HANDOFF, REAP }

/* The segment. */
mtype state[NS] = FREE;
byte owner[NS];
byte holders[NS];
byte idle[NW];   /* one bit a slot */
byte handed[NW]; /* one bit a slot */
byte out[NW];  /* tickets published and unclaimed */
byte head[NW]; /* tickets claimed */
bool alive[NW];
bool poked[NW], event[NW];
byte births[NW];
byte meant[NS]; /* HANDOFF: the birth it is meant for */
byte deaths;

/* Not in the segment: stores on their way, who uses a server, who waits. */
byte late_tickets[NW];
byte late_idle[NW] = NONE;
byte user[NS] = NONE;
byte queue[NW];
byte dead[NW]; /* KILLED: takes no further step; BURIED: waitpid tells */
byte leaves = LEAVES;
byte kills = KILLS;

#include "steps.pml"
#include "worker.pml"

/* ---- the master ---- */

inline slot_reclaim(s, v) {
    holders[s] = holders[s] & (255 - BIT(v));
    do
    :: state[s] == HANDOFF && owner[s] != v -> handed[owner[s]] = handed[owner[s]] | BIT(s); break
    :: state[s] == FREE || (state[s] != HANDOFF && owner[s] != v) -> break
    :: IS(s, IDLE, v) -> slot_rehome(s, v, IDLE); idle[v] = idle[v] & (255 - BIT(s))
    :: IS(s, HANDOFF, v) -> slot_rehome(s, v, HANDOFF)
    :: IS(s, CONNECTING, v) -> d_step { state[s] = FREE; owner[s] = 0 }
    :: IS(s, ACTIVE, v) || IS(s, REAP, v) ->
        d_step {
            state[s] = REAP;
            i = NW;
            do
            :: i > 0 ->
                i--;
                if
                :: alive[i] -> owner[s] = i
                :: else
                fi
            :: else -> break
            od;
            i = NW;
            do
            :: i > 0 ->
                i--;
                if
                :: alive[i] && (holders[s] & BIT(i)) -> owner[s] = i
                :: else
                fi
            :: else -> break
            od
        };
        break
    od
}

inline reclaim(v) {
    alive[v] = false;
    d_step { head[v] = (head[v] + out[v]) & 7; out[v] = 0 };
    n = 0;
    do
    :: n < NS -> slot_reclaim(n, v); n++
    :: else -> break
    od;
    n = 0;
    deaths++;
    do
    :: n < NW ->
        if
        :: alive[n] ->
#ifdef NO_HARD_POKE
            poke(n)
#else
            d_step { poked[n] = true; event[n] = true }
#endif
        :: else
        fi;
        n++
    :: else -> break
    od;
    n = 0
}

active proctype master() {
    byte v, n, i, mask, heir;
    bool was;

    atomic {
        do
        :: v < NW -> alive[v] = true; run worker(v, CL); v++
        :: else -> break
        od;
        v = 0
    }
end:
    do
    :: kills > 0 ->
        atomic {
            kills--;
            v = 0; /* all are alike: which one it is makes no difference */
            dead[v] = KILLED
        }
        dead[v] == BURIED;
        reclaim(v);
#ifndef NO_SUCCESSOR
        atomic { /* gp_worker_born */
            births[v]++;
            alive[v] = true;
            dead[v] = 0;
            poked[v] = true;
            event[v] = true;
            run worker(v, NEXT)
        }
#endif
    od
}

/* When nothing can move any more. */
active proctype monitor() {
    byte s;
    bool orphan; /* a server waits for a successor that does not come: so may clients */

    timeout ->
        atomic {
            do
            :: s < NS ->
                orphan = orphan || (state[s] == REAP && !alive[owner[s]]);
                assert(state[s] == FREE || state[s] == IDLE || orphan);
                assert(state[s] != IDLE || (idle[owner[s]] & BIT(s)));
                assert(user[s] == NONE || orphan);
                s++
            :: else -> break
            od;
            s = 0;
            do
            :: s < NW -> assert(queue[s] == 0 || orphan); s++
            :: else -> break
            od
        }
}
