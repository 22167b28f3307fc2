/* Part of pool.pml: a worker, as tests/c/pool_worker.h is in C. */

inline link(s) {
    d_step {
        assert(IS(s, ACTIVE, w) && user[s] == NONE && (holders[s] & BIT(w)));
        user[s] = w;
        queue[w]--
    }
}

/* A slot came for a ticket of ours. */
inline ticket_spent() {
    d_step {
        if
        :: published > out[w] + late_tickets[w] -> published--
        :: else
        fi
    }
}

inline release(s) {
    do
    :: slot_pass(s);
       if
       :: !self -> break
       :: else ->
          ticket_spent();
          if
          :: queue[w] > 0 -> link(s); break
          :: else
          fi
       fi
    od;
    self = false
}

/* hint_next: the first bit at or after k. The bits of a lane are one word, read at once. */
inline hint_next(bits) {
    d_step {
        do
        :: k < NS && !((bits) & BIT(k)) -> k++
        :: else -> break
        od;
        if
        :: k == NS -> k = NONE
        :: else
        fi
    }
}

inline slot_settle() {
    wanted(k, set);
    if
    :: set != 0 ->
        set = 0;
        unrest(k);
        if
        :: ok ->
            ok = false;
            slot_pass(k);
            if
            :: self -> self = false; slot_hand(k, w); ok = false
            :: else
            fi
        :: else
        fi
    :: else
    fi
}

inline settle() {
#ifndef NO_SETTLE_FENCE
    flush(w);
#endif
#ifndef NO_SETTLE
    l = 0;
    do
    :: l < NW ->
        k = 0;
        do
        :: hint_next(idle[(l + w) % NW]);
            if
            :: k == NONE -> break
            :: else -> slot_settle(); k++
            fi
        od;
        l++
    :: else -> break
    od;
    l = 0;
#endif
    k = 0
}

/* Have a ticket for each waiter and none too many, then look a second time. */
inline publish() {
    do
    :: published > queue[w] && out[w] > 0 ->
        d_step {
            if
            :: out[w] > 0 -> out[w]--; head[w] = (head[w] + 1) & 7; published--
            :: else
            fi
        }
    :: else -> break
    od;
    if
    :: published < queue[w] ->
        d_step { late_tickets[w] = late_tickets[w] + (queue[w] - published); published = queue[w] };
        settle()
    :: else
    fi
}

/* One more server, if there is room: claim, log in, share the descriptor, give it away. */
inline grow() {
    k = 0;
    do
    :: k < NS && queue[w] > 0 ->
        d_step {
            ok = state[k] == FREE;
            if
            :: ok -> state[k] = CONNECTING; owner[k] = w
            :: else
            fi
        }
        if
        :: ok ->
            d_step {
                assert(user[k] == NONE);
                ok = false;
                holders[k] = BIT(w);
                state[k] = ACTIVE
            };
            release(k);
            mask = BIT(NW) - 1;
            poke_all(mask)
        :: else
        fi;
        k++
    :: else -> break
    od;
    k = 0
}

/* Receive descriptors, and close what a dead worker left to us. */
inline census() {
    d_step {
        k = 0;
        do
        :: k < NS ->
            if
            :: state[k] != FREE && state[k] != CONNECTING -> holders[k] = holders[k] | BIT(w)
            :: else
            fi;
            k++
        :: else -> break
        od;
        k = 0
    };
#if KILLS
    do
    :: k < NS ->
        if
        :: IS(k, REAP, w) ->
            d_step { user[k] = NONE; state[k] = FREE; owner[k] = 0; holders[k] = 0 };
            poke_waiting()
        :: else
        fi;
        k++
    :: else -> break
    od;
#endif
    k = 0
}

inline handoff() {
    handed[w] = handed[w] & (255 - BIT(k));
    if
    :: IS(k, HANDOFF, w) ->
        if
#ifndef NO_HOLDER_LOOK
        :: !MEANT(k, births[w]) -> slot_rehome(k, w, HANDOFF)
        :: MEANT(k, births[w]) && !(holders[k] & BIT(w)) -> out[w]++; slot_rehome(k, w, HANDOFF)
#endif
        :: else ->
            d_step {
                ok = IS(k, HANDOFF, w);
                if
                :: ok -> state[k] = ACTIVE; meant[k] = 0
                :: else
                fi
            }
            if
            :: ok ->
                ok = false;
                ticket_spent();
                if
                :: queue[w] > 0 -> link(k)
                :: else -> release(k)
                fi
            :: else
            fi
        fi
    :: else
    fi
}

inline handoffs() {
    k = 0;
    do
    :: hint_next(handed[w]);
        if
        :: k == NONE -> break
        :: else -> handoff(); k++
        fi
    od;
    k = 0
}

inline look() {
#if defined(UNPOKE_EARLY)
    poked[w] = false;
    event[w] = false;
#elif defined(COARSE)
    d_step { event[w] = false; poked[w] = false };
#else
    event[w] = false;
    poked[w] = false;
#endif
    if
    :: seen != deaths -> /* tickets may have died in a claimer's hands */
        d_step { seen = deaths; head[w] = (head[w] + out[w]) & 7; out[w] = 0; published = 0 };
    :: else
    fi;
#ifdef NO_HOLDER_LOOK
    handoffs();
#endif
    census();
    handoffs();
    publish();
    if
    :: queue[w] > 0 -> settle(); handoffs(); grow()
    :: else
    fi
}

/* gp_pool_take: ok = got it. */
inline take() {
    l = 0;
    do
    :: l < NW && !ok ->
        k = 0;
        do
        :: hint_next(idle[(l + w) % NW]);
            if
            :: k == NONE -> break
            :: else ->
                wanted(k, set);
                if
                :: set == 0 -> unrest(k)
                :: else -> set = 0
                fi;
                if
                :: ok -> break
                :: else -> k++
                fi
            fi
        od;
        l++
    :: else -> break
    od;
    l = 0
}

proctype worker(byte w; byte clients) {
    byte published, seen, to, from, set, mask, heir, i, j, k, l, h, birth;
    bool ok, self, was;

    {
        seen = deaths;
end:
        do
        :: clients > 0 ->
            clients--;
            if
            :: queue[w] == 0 -> take()
            :: else
            fi;
            if
            :: ok -> d_step { ok = false; queue[w]++; }; link(k); k = 0
            :: else -> k = 0; queue[w]++; publish(); handoffs(); grow()
            fi
        /* finish: the transaction is over */
        :: d_step { user[0] == w -> assert(IS(0, ACTIVE, w)); user[0] = NONE }; release(0)
#if NS > 1
        :: d_step { user[1] == w -> assert(IS(1, ACTIVE, w)); user[1] = NONE }; release(1)
#endif
        :: d_step { leaves > 0 && queue[w] > 0 -> leaves--; queue[w]-- };
            publish()
        :: event[w] -> look()
        od
    }
#if KILLS
    unless {
        atomic {
            dead[w] == KILLED;
            flush(w); /* what it had stored is stored */
            queue[w] = 0;
            j = 0;
            do
            :: j < NS ->
                if
                :: user[j] == w -> user[j] = GHOST
                :: else
                fi;
                j++
            :: else -> break
            od;
            dead[w] = BURIED
        }
    }
#endif
}
