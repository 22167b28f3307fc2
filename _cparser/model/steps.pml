/* Part of pool.pml: memory, and the steps that workers and the master share. Inlines use the variables
 * of the process they are in: w is the worker itself, i, k, mask, ok and the like are for one use. */

/* ---- memory ---- */

inline flush(x) {
    d_step {
        out[x] = out[x] + late_tickets[x];
        late_tickets[x] = 0;
        if
        :: late_idle[x] != NONE ->
            state[late_idle[x]] = IDLE;
            owner[late_idle[x]] = x;
            late_idle[x] = NONE
        :: else
        fi
    }
}

#if defined(NO_RELEASE_FENCE) || defined(NO_SETTLE_FENCE)
active proctype memory() {
    byte m;
end:
    do
    :: atomic {
        late_tickets[0] || late_idle[0] != NONE -> m = 0; flush(m)
       }
    :: atomic {
        late_tickets[1] || late_idle[1] != NONE -> m = 1; flush(m)
       }
    od
}
#endif

/* ---- steps that several take ---- */

/* Set all v with: living, a ticket unclaimed, and holding slot s. */
inline wanted(s, set) {
    d_step {
        set = 0;
        i = 0;
        do
        :: i < NW ->
            if
            :: alive[i] && out[i] > 0 && (holders[s] & BIT(i)) -> set = set | BIT(i)
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}

inline poke(v) {
#ifdef COARSE
    d_step { event[v] = event[v] || !poked[v]; poked[v] = true }
#else
    d_step { was = poked[v]; poked[v] = true };
    if
    :: !was -> event[v] = true
    :: else
    fi;
    was = false
#endif
}

inline poke_all(mask) {
    do
    :: mask & 1 -> mask = mask & 254; poke(0)
    :: (mask & 3) == 2 -> mask = mask & 253; poke(1)
#if NW > 2
    :: (mask & 7) == 4 -> mask = mask & 251; poke(2)
#endif
    :: mask == 0 -> break
    od
}

/* Poke all that have tickets. */
inline poke_waiting() {
    d_step {
        mask = 0;
        i = 0;
        do
        :: i < NW ->
            if
            :: alive[i] && out[i] > 0 -> mask = mask | BIT(i)
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    };
    poke_all(mask)
}

/* slot_unrest: IDLE(any) -> ACTIVE(w), then its bit goes. ok tells whether it was won. */
inline unrest(s) {
#ifdef BIT_LATE
    idle[owner[s]] = idle[owner[s]] & (255 - BIT(s));
#endif
    d_step {
        ok = state[s] == IDLE && (holders[s] & BIT(w)) != 0;
        if
        :: ok -> from = owner[s]; state[s] = ACTIVE; owner[s] = w
        :: else
        fi
    };
#ifndef BIT_LATE
    if
    :: ok -> idle[from] = idle[from] & (255 - BIT(s))
    :: else
    fi;
#endif
    from = 0
}

/* ticket_claim: any ticket will do for the oldest. */
inline ticket_claim(s) {
    do
    :: atomic {
        wanted(s, set);
        if
        :: set == 0 -> to = NONE
        :: (set & 1) -> to = 0; h = head[0]
        :: (set & 2) -> to = 1; h = head[1]
#if NW > 2
        :: (set & 4) -> to = 2; h = head[2]
#endif
        fi;
        set = 0
       }
       if
       :: to == NONE -> break
       :: else ->
          d_step {
            ok = out[to] > 0 && head[to] == h;
            h = 0;
            if
            :: ok -> out[to]--; head[to] = (head[to] + 1) & 7
            :: else
            fi
          }
          if
          :: ok -> break
          :: else
          fi
       fi
    od;
    ok = false
}

/* slot_hand: ok = it is no longer ours. */
inline slot_hand(s, v) {
    birth = births[v];
    d_step { assert(IS(s, ACTIVE, w)); state[s] = HANDOFF; owner[s] = v; meant[s] = birth };
    handed[v] = handed[v] | BIT(s);
#ifndef NO_ALIVE_LOOK
    if
    :: alive[v] -> poke(v); ok = true
    :: else ->
        d_step {
            ok = !(IS(s, HANDOFF, v) && MEANT(s, birth));
            if
            :: !ok -> state[s] = ACTIVE; owner[s] = w; meant[s] = 0
            :: else
            fi
        }
    fi;
#else
    poke(v);
    ok = true;
#endif
    birth = 0
}

inline slot_rest(s) {
    idle[w] = idle[w] | BIT(s);
    d_step { assert(IS(s, ACTIVE, w)); late_idle[w] = s };
#ifndef NO_RELEASE_FENCE
    flush(w)
#endif
}

/* slot_pass: self = the caller's own waiter has it; otherwise it is gone. */
inline slot_pass(s) {
    self = false;
    do
    :: ticket_claim(s);
       if
       :: to == w -> self = true; break
       :: to != NONE && to != w ->
          slot_hand(s, to);
          if
          :: ok -> ok = false; break
          :: else
          fi
       :: to == NONE ->
          slot_rest(s);
#ifdef NO_SECOND_LOOK
          break
#else
          wanted(s, set);
          if
          :: set == 0 -> break
          :: else -> set = 0; flush(w); unrest(s);
             if
             :: ok -> ok = false
             :: else -> break
             fi
          fi
#endif
       fi
    od;
    to = 0
}

/* A clean slot that its owner of record, v, cannot have. seen: the state it was in. */
inline slot_rehome(s, v, seen) {
    d_step {
        heir = NONE;
        i = NW;
        do
        :: i > 0 ->
            i--;
            if
            :: alive[i] && (holders[s] & BIT(i)) -> heir = i
            :: else
            fi
        :: else -> break
        od
    }
    if
    :: heir == NONE ->
        d_step {
            if
            :: IS(s, seen, v) -> state[s] = FREE; owner[s] = 0; holders[s] = 0; meant[s] = 0
            :: else
            fi
        }
    :: else ->
        idle[heir] = idle[heir] | BIT(s);
        d_step {
            if
            :: IS(s, seen, v) -> state[s] = IDLE; owner[s] = heir; meant[s] = 0
            :: else
            fi
        }
    fi;
    heir = 0;
    poke_waiting()
}
