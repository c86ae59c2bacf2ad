//! Starts tasks and threads in the span of their parent, so that their log lines name the node that they
//! belong to.

use std::future::Future;
use std::io;
use std::thread;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::Span;

pub use tracing::Instrument;

/// [`tokio::spawn`] in the current span.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future.in_current_span())
}

/// [`spawn`] from a thread outside the runtime.
pub fn spawn_on<F>(runtime: &Handle, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    runtime.spawn(future.in_current_span())
}

/// Runs work that blocks, from a thread outside the runtime.
pub fn spawn_blocking_on<T: Send + 'static>(
    runtime: &Handle,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let span = Span::current();
    runtime.spawn_blocking(move || span.in_scope(work))
}

/// Starts a thread in the current span.
///
/// # Errors
/// When the system has no more threads.
pub fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    let span = Span::current();
    thread::Builder::new().name(name.to_owned()).spawn(move || span.in_scope(work))
}
