//! Requests that meet a taken lock are stored, and a worker runs them later: in their order, each at least once, although
//! the worker is killed on the way.
//!
//! `cargo run --bin queue_orders` needs nothing. With a server the worker is a process of its own:
//! `LOCK_URL=redis://127.0.0.1:6379 cargo run --bin queue_orders`

mod orders;
mod worker;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use lock_examples::Replica;
use lock_runtime::{CallEnd, Outcome, Ticket};
use tokio::time::{sleep, timeout};

use crate::orders::{Change, change};
use crate::worker::Worker;

/// What went wrong, in words.
type Failure = Box<dyn Error + Send + Sync>;

const ORDER: u64 = 7;
/// Far more than the whole story takes.
const LONGEST: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    let told = async {
        match worker::role() {
            Some(role) => worker::run(role).await,
            None => run().await,
        }
    };
    match timeout(LONGEST, told).await.unwrap_or_else(|late| Err(late.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nThis went wrong: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    println!("Two web replicas of a shop get requests for one order, and one worker does what had to wait.");
    let [first, second, third] = lock_examples::replicas("queue-orders").await?;
    let (web_1, web_2) = (named(first, "web-1"), named(second, "web-2"));
    let locks = third.locks.clone();

    println!("1. web-1 packs the order; what web-2 is asked for meanwhile is stored.");
    let packing = tokio::spawn(async move { request(&web_1, Change::Pack).await.map(|_| web_1) });
    while locks.inspect(format!("order:{ORDER}")).await?.is_none() {
        sleep(Duration::from_millis(5)).await;
    }
    let mut stored = Vec::new();
    for change in [
        Change::Note("leave it at the door".to_owned()),
        Change::Wrap {
            colour: "red".to_owned(),
        },
        Change::Address("1 Nowhere Street".to_owned()),
        Change::Note("ring twice".to_owned()),
    ] {
        let ticket = request(&web_2, change.clone()).await?;
        stored.push((change, ticket.ok_or("the order was free")?));
    }

    println!(
        "\n2. The worker runs them one after the other, as soon as the order is free. It is killed in the second one."
    );
    let mut worker = Worker::start(&locks, "worker-a").await?;
    packing.await??;
    worker.has_begun("Wrap").await?;
    worker.kill().await?;

    println!(
        "\n3. Another worker takes over: the call that was cut off runs again, and the later ones have waited for it."
    );
    let worker = Worker::start(&locks, "worker-b").await?;
    let queue = locks.queue();
    let mut ends = Vec::new();
    for (change, ticket) in stored {
        ends.push((change, ticket, queue.wait(ticket).await?));
    }
    worker.stop().await?;

    println!("\n4. What became of each:");
    for (change, ticket, end) in &ends {
        match end {
            CallEnd::Done => println!("   {ticket}  done               {change}"),
            CallEnd::Dead { cause, error } => {
                println!("   {ticket}  is a dead letter   {change}: {cause}: {error}");
            }
            other => return Err(format!("{change} ended as {other:?}").into()),
        }
    }
    let dead = queue.dead_letters(0, 10).await?;
    let [letter] = dead.as_slice() else {
        return Err(format!("there are {} dead letters, not one", dead.len()).into());
    };
    queue.cancel(letter.ticket()).await?;
    println!("   An operator has read the dead letter, and put it away.");

    let done = ends.iter().filter(|(_, _, end)| *end == CallEnd::Done).count();
    let left = queue.counts().await?;
    if (done, left.due + left.delayed + left.running + left.dead) == (3, 0) {
        println!("\nAll as it should be.");
        Ok(())
    } else {
        Err(format!("{done} calls are done, not three, or some are left: {left:?}").into())
    }
}

/// What a handler does: 200 when the change was made, 202 with the ticket when it is stored.
async fn request(web: &Replica, asked: Change) -> Result<Option<Ticket>, Failure> {
    let what = asked.to_string();
    match change(web, ORDER, asked).await? {
        Outcome::Done(()) => {
            web.says(format_args!("answers 200: {what}"));
            Ok(None)
        }
        Outcome::Queued(ticket) => {
            web.says(format_args!("answers 202: {what}, later, as {ticket}"));
            Ok(Some(ticket))
        }
    }
}

fn named(replica: Replica, name: &'static str) -> Replica {
    Replica { name, ..replica }
}
