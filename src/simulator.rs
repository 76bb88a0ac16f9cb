//! The simulated Partner API: it speaks all of what is known of the real one.
