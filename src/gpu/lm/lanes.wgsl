// State of the lanes at the start of a window.

// Where the state of a lane of this workgroup starts.
fn state_of(lane: u32) -> u32 {
    return (lane_base + lane) * STATE_WORDS;
}

// Word i of the adaptive stage's state at the start of a window (formats/lm.md, "State").
fn initial(i: u32) -> u32 {
    if i >= BY_NODE && i < BY_LAST {
        return select(0u, 7500u, (i - BY_NODE) % 4u == 0u);
    }
    if i >= BY_MATCH && i < ORDER0 {
        return array(2048u << 16u, 1500u << 16u | 1500u, 1500u << 16u | 1500u, 0u)[(i - BY_MATCH) % 4u];
    }
    if i >= ORDER0 && i < GUESSES {
        return 0x80008000u;
    }
    if i >= CONFIDENCE && i < MATCHES {
        // Both entries of a word are of the same half class.
        let entry = 2u * (i - CONFIDENCE);
        let step = select(entry & 7u, entry, entry < 16u);
        let confidence = 65536u - (65536u >> (step / 2u + 2u));
        return confidence << 16u | confidence;
    }
    return 0u;
}

// Starts a window in every lane of the workgroup.
fn clear_lanes() {
    for (var i = thread; i < LANES * STATE_WORDS; i += THREADS) {
        state[lane_base * STATE_WORDS + i] = initial(i % STATE_WORDS);
    }
    sync();
}
