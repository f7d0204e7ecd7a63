//! CPU time: on a machine that others use too, the only clock worth reading.

use std::io;
use std::time::Duration;

/// The CPU time of this thread.
pub fn thread_time() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The CPU time of all threads of this process.
pub fn process_time() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The CPU time of all threads of this process, user's and system's, which may be another one; fails if there is none.
#[allow(unsafe_code)]
pub fn process_time_of(process: u32) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is valid for writing; clock_getcpuclockid writes it and keeps no pointer.
    match unsafe { libc::clock_getcpuclockid(process as libc::pid_t, &mut clock) } {
        0 => Ok(read(clock)),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[allow(unsafe_code)]
fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; clock_gettime writes it and keeps no pointer.
    let outcome = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(outcome, 0, "the CPU clock cannot be read");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_the_thread_time_and_the_process_at_least_as_much() {
        // The process first: what the thread works between the two readings counts for both then.
        let (process, thread) = (process_time(), thread_time());
        while thread_time() - thread < Duration::from_millis(2) {}
        assert!(process_time() - process >= Duration::from_millis(2));
    }

    #[test]
    fn a_process_has_the_same_time_by_its_id() {
        let before = process_time();
        let by_id = process_time_of(std::process::id()).unwrap();
        assert!(before <= by_id && by_id <= process_time());
    }
}
