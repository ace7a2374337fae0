package dev.lettagrpc;

import dev.lettagrpc.v1.RunEvent;
import java.util.Iterator;
import java.util.concurrent.Flow;

/** Hands a stream's events to a subscriber, never more than it has requested. */
final class Publication implements Flow.Subscription, Runnable {
  private final RunStream stream;
  private final Flow.Subscriber<? super RunEvent> subscriber;
  private long demand;
  private boolean cancelled;
  private IllegalArgumentException misuse;

  Publication(RunStream stream, Flow.Subscriber<? super RunEvent> subscriber) {
    this.stream = stream;
    this.subscriber = subscriber;
  }

  /** Tells the subscriber that it gets nothing, and why. */
  void refuse(Throwable why) {
    cancelled = true;
    subscriber.onSubscribe(this);
    subscriber.onError(why);
  }

  @Override
  public void run() {
    subscriber.onSubscribe(this);
    try {
      deliver();
    } catch (RuntimeException failure) {
      if (!isCancelled()) {
        subscriber.onError(failure);
      }
    } finally {
      stream.close();
    }
  }

  private void deliver() {
    Iterator<RunEvent> events = stream.iterator();
    while (events.hasNext() && awaitDemand()) {
      subscriber.onNext(events.next());
    }
    if (!isCancelled()) {
      stream.ended();
      subscriber.onComplete();
    }
  }

  @Override
  public synchronized void request(long count) {
    if (count <= 0) {
      misuse = new IllegalArgumentException("a request is for at least one event");
    } else {
      demand = demand + count < 0 ? Long.MAX_VALUE : demand + count;
    }
    notifyAll();
  }

  @Override
  public void cancel() {
    synchronized (this) {
      cancelled = true;
      notifyAll();
    }
    stream.close();
  }

  /** Lets it see that the stream is closed. */
  synchronized void wake() {
    notifyAll();
  }

  /** Waits until one more event is wanted; false if none ever will be, or can be had. */
  private synchronized boolean awaitDemand() {
    try {
      while (demand == 0 && !cancelled && !stream.isClosed() && misuse == null) {
        wait();
      }
    } catch (InterruptedException interrupt) {
      throw LettaException.interrupted(interrupt);
    }
    if (misuse != null) {
      throw misuse;
    }
    if (demand < Long.MAX_VALUE) {
      demand--;
    }
    return !cancelled && !stream.isClosed();
  }

  private synchronized boolean isCancelled() {
    return cancelled;
  }
}
