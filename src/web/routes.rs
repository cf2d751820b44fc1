//! Which address is what, and how it is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Desk;
use super::answers::{self, Answered};
use super::changes;
use super::files;
use super::guard::{Guard, Refused, Visitor};
use super::unread::{Reader, Room};
use crate::wire::Refusal;

/// Bytes of what is sent here.
const MOST_BYTES: usize = 256 << 10;
/// How long that may take.
const BODY: Duration = Duration::from_secs(10);
/// How many are asked at a time for what takes a moment, and for what takes longer.
const LOOKS: usize = 2;
const LONG_LOOKS: usize = 2;
/// Pages that are told what happens.
const MOST_LISTENERS: usize = 24;
/// How often they are told something at most.
const NEWS: Duration = Duration::from_millis(200);
/// How often something is sent to those who listen, so that one that has gone is seen.
const ALIVE: Duration = Duration::from_secs(15);

/// What a page may do: run its own scripts, and talk to this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' \
                      data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// What is sent.
type Body = Either<Full<Bytes>, Channel<Bytes>>;

/// Where requests come in.
pub(super) struct Door {
    desk: Arc<Desk>,
    guard: Arc<Guard>,
    stopped: watch::Receiver<bool>,
    looks: Arc<Semaphore>,
    long_looks: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
    unread: Room,
}

impl Door {
    pub fn new(desk: &Arc<Desk>, guard: &Arc<Guard>, stopped: watch::Receiver<bool>) -> Self {
        Self {
            desk: Arc::clone(desk),
            guard: Arc::clone(guard),
            stopped,
            looks: Arc::new(Semaphore::new(LOOKS)),
            long_looks: Arc::new(Semaphore::new(LONG_LOOKS)),
            listeners: Arc::new(Semaphore::new(MOST_LISTENERS)),
            unread: Room::default(),
        }
    }

    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }
}

/// Answers a request.
pub(super) async fn answer(
    door: &Arc<Door>,
    reader: &Reader,
    asked: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = asked.into_parts();
    let mut response = match door.guard.admit(&head) {
        Err(refused) => forbidden(refused),
        Ok(visitor) => {
            let mut response = routed(door, reader, (head, body)).await;
            let cookie = HeaderValue::from_str(&door.guard.set_cookie());
            if let (Visitor::New, Ok(cookie)) = (visitor, cookie) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn routed(
    door: &Arc<Door>,
    reader: &Reader,
    (head, body): (Parts, Incoming),
) -> Response<Body> {
    let path = head.uri.path().trim_start_matches('/').to_owned();
    let is_look = matches!(head.method, Method::GET | Method::HEAD);
    match path.strip_prefix("api/") {
        Some("events") if is_look => events(door),
        Some(question) if is_look => {
            let (desk, question) = (Arc::clone(&door.desk), question.to_owned());
            let query = head.uri.query().map(str::to_owned);
            let look = move || answers::answered(&desk, &question, query.as_deref());
            engine((&door.looks, &door.unread), reader, look).await
        }
        Some(change) if head.method == Method::POST => {
            let asked = match read(&head, body).await {
                Ok(asked) => asked,
                Err((status, why)) => return refusal(status, why),
            };
            let (desk, change) = (Arc::clone(&door.desk), change.to_owned());
            let is_short = changes::is_short(&change);
            let room = if is_short { &door.looks } else { &door.long_looks };
            let change = move || changes::changed(&desk, &change, asked);
            engine((room, &door.unread), reader, change).await
        }
        None if is_look => match files::named(&path) {
            Some(file) => whole(StatusCode::OK, file.content_type, file.text.into()),
            None => refusal(StatusCode::NOT_FOUND, "there is nothing at this address"),
        },
        _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "this can't be done at this address"),
    }
}

/// Has the engine asked on a thread of its own, once there is room. For whoever has gone by then it
/// isn't asked; who goes later leaves his place taken until it has answered.
async fn engine(
    (room, unread): (&Arc<Semaphore>, &Room),
    reader: &Reader,
    ask: impl FnOnce() -> Answered + Send + 'static,
) -> Response<Body> {
    let place = Arc::clone(room).acquire_owned().await;
    let ask = move || {
        let answered = ask();
        drop(place);
        answered
    };
    match tokio::task::spawn_blocking(ask).await {
        Ok(Ok(json)) => match unread.take(json, reader).await {
            Some(json) => whole(StatusCode::OK, "application/json", json),
            None => refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "other pages don't read what they have asked for; close some, and try again",
            ),
        },
        Ok(Err((status, why))) => refusal(status, &why),
        Err(_) => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "pixelmill itself has failed at this, which is a fault of it, so please report it",
        ),
    }
}

/// What is sent to be done: an object.
async fn read(
    head: &Parts,
    body: Incoming,
) -> Result<Map<String, Value>, (StatusCode, &'static str)> {
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json")
    });
    if !is_json {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "what is sent has to be JSON"));
    }
    let too_large = (StatusCode::PAYLOAD_TOO_LARGE, "it is too large");
    // What is announced as that isn't waited for.
    if body.size_hint().lower() > MOST_BYTES as u64 {
        return Err(too_large);
    }
    let collected = timeout(BODY, Limited::new(body, MOST_BYTES).collect()).await;
    let body = match collected {
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "it took too long to be sent")),
        Ok(Err(_)) => return Err(too_large),
        Ok(Ok(body)) => body.to_bytes(),
    };
    serde_json::from_slice(&body)
        .map_err(|_| (StatusCode::BAD_REQUEST, "what was sent is no JSON object"))
}

/// What happens, as it happens.
fn events(door: &Arc<Door>) -> Response<Body> {
    let Ok(place) = Arc::clone(&door.listeners).try_acquire_owned() else {
        let why = "so many pages are open that no more are told what happens; close one";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let door = Arc::clone(door);
    tokio::spawn(async move {
        let mut told = door.desk.news.subscribe();
        let mut stopped = door.stopped.clone();
        let mut seen = 0;
        loop {
            told.borrow_and_update();
            let (mut events, count) = door.desk.news.since(seen);
            seen = count;
            if events.is_empty() {
                ": nothing new\n\n".clone_into(&mut events);
            }
            if sender.send_data(events.into()).await.is_err() {
                break;
            }
            if *stopped.borrow() {
                break;
            }
            let news = async {
                // When nobody tells anything any more the server has ended.
                let _ = timeout(ALIVE, told.changed()).await;
                sleep(NEWS).await;
            };
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => {}
                () = news => {}
            }
        }
        drop(place);
    });
    let mut response = Response::new(Either::Right(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn forbidden(refused: Refused) -> Response<Body> {
    let said = format!("{}\n", refused.said());
    whole(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", said.into())
}

fn refusal(status: StatusCode, why: &str) -> Response<Body> {
    let json = serde_json::to_vec(&Refusal::new(why)).unwrap_or_default();
    whole(status, "application/json", json.into())
}

fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
