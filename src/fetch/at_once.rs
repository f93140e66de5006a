//! At once: jobs that mostly wait for servers, in a bounded number of threads.
//!
//! Promises to return soon after the caller asks to stop, although a thread that waits for a server
//! ends only when its time limit does: threads may outlive the call. A panic of a job is one of the
//! caller: it is not mistaken for an interruption.
//! Read next: `fetcher.rs` and `pages.rs`, which have jobs.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How many jobs run at once; a small file is mostly a wait for the server.
const WORKERS_MAX: usize = 16;
/// How often the caller is asked whether to stop.
const TICK: Duration = Duration::from_millis(50);

/// Does all jobs in their order, several at once. Calls `each` with every result as it comes, and
/// with `None` in between; an error of `each` ends the run.
///
/// # Errors
/// Those of `each`; no thread.
///
/// # Panics
/// If a job does.
pub(super) fn at_once<Job: Send + 'static, Done: Send + 'static, E: From<io::Error>>(
    jobs: Vec<Job>,
    stopped: &Arc<AtomicBool>,
    work: impl Fn(Job) -> Done + Send + Sync + 'static,
    mut each: impl FnMut(Option<Done>) -> Result<(), E>,
) -> Result<(), E> {
    let all = jobs.len();
    let queue = Arc::new(Mutex::new(VecDeque::from(jobs)));
    let work = Arc::new(work);
    let (sender, results) = mpsc::channel();
    let stop = |failed| {
        stopped.store(true, Ordering::SeqCst);
        Err(failed)
    };
    for _ in 0..all.min(WORKERS_MAX) {
        let (queue, stopped) = (Arc::clone(&queue), Arc::clone(stopped));
        let (work, sender) = (Arc::clone(&work), sender.clone());
        let worker = move || {
            while let Some(job) = next(&stopped, &queue) {
                let done = catch_unwind(AssertUnwindSafe(|| work(job)));
                if sender.send(done).is_err() {
                    return;
                }
            }
        };
        if let Err(error) = thread::Builder::new().spawn(worker) {
            return stop(error.into());
        }
    }
    drop(sender);
    let mut done = 0;
    while done < all {
        let result = match results.recv_timeout(TICK) {
            Ok(Ok(result)) => Some(result),
            Ok(Err(panic)) => {
                stopped.store(true, Ordering::SeqCst);
                resume_unwind(panic);
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("every job sends its result, or its panic")
            }
        };
        done += usize::from(result.is_some());
        if let Err(failed) = each(result) {
            return stop(failed);
        }
    }
    Ok(())
}

/// The next job, unless the run was stopped.
fn next<Job>(stopped: &AtomicBool, queue: &Mutex<VecDeque<Job>>) -> Option<Job> {
    if stopped.load(Ordering::SeqCst) {
        return None;
    }
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.pop_front()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_job_is_one_of_the_caller_and_no_interruption() {
        let jobs = (0..40).collect();
        let stopped = Arc::new(AtomicBool::new(false));
        let work = |job: u32| {
            // Without the hook, which would print the panic.
            if job == 20 {
                resume_unwind(Box::new("of job 20"));
            }
        };
        let run = catch_unwind(AssertUnwindSafe(|| {
            at_once(jobs, &stopped, work, |_| Ok::<_, io::Error>(()))
        }));
        let panic = run.unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"of job 20"));
        assert!(stopped.load(Ordering::SeqCst));
    }
}
