//! Who may come in: whoever has the token of the first address, from then on by a cookie, and only
//! by an address of this machine, from the page itself.
//!
//! Other pages in the same browser can send requests here, with the cookie if they come from
//! another port of this machine; and a foreign host's name may be made to lead here. So what is
//! asked for has to name this machine, and what changes something has to come from this page.

use hyper::Method;
use hyper::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::http::request::Parts;

use super::query::Query;
use crate::hex::hex;

/// Bytes of what only those have who may come in.
const SECRET_BYTES: usize = 32;

/// Where a browser says that a request comes from.
static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What lets somebody in.
pub(super) struct Guard {
    token: String,
    cookie: String,
    /// Browsers send the cookies of all ports of a machine to each of them.
    cookie_name: String,
}

/// Who has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visitor {
    /// Somebody with the token, who is given the cookie.
    New,
    /// Somebody with the cookie.
    Known,
}

/// Why somebody may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// What is asked for isn't an address of this machine.
    Host,
    /// Neither token nor cookie.
    Stranger,
    /// Another page asks.
    Origin,
}

impl Refused {
    /// Why, in words.
    pub fn said(self) -> &'static str {
        match self {
            Self::Host => "this page is only served as 127.0.0.1 or localhost",
            Self::Stranger => {
                "this page opens by the address that pixelmill has printed, with its token"
            }
            Self::Origin => "only the page itself may ask for this",
        }
    }
}

impl Guard {
    /// New secrets for the page at a port.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new(port: u16) -> std::io::Result<Self> {
        let secret = || {
            let mut bytes = [0; SECRET_BYTES];
            getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(hex(&bytes))
        };
        let cookie_name = format!("pixelmill-{port}");
        Ok(Self { token: secret()?, cookie: secret()?, cookie_name })
    }

    /// What the first address has.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What somebody new is given.
    pub fn set_cookie(&self) -> String {
        format!("{}={}; HttpOnly; SameSite=Strict", self.cookie_name, self.cookie)
    }

    /// Who asks.
    ///
    /// # Errors
    /// If they may not.
    pub fn admit(&self, asked: &Parts) -> Result<Visitor, Refused> {
        let host = host(asked).filter(|host| is_this_machine(host)).ok_or(Refused::Host)?;
        let query = Query::of(asked.uri.query());
        let is_page = asked.uri.path() == "/";
        let by_token = is_page && query.get("token").is_some_and(|token| same(token, &self.token));
        if !by_token && !self.has_cookie(&asked.headers) {
            return Err(Refused::Stranger);
        }
        let site = asked.headers.get(&FETCH_SITE).map(HeaderValue::as_bytes);
        let is_from_here = match site {
            None | Some(b"same-origin" | b"none") => true,
            Some(_) => is_page,
        };
        let changes = !matches!(asked.method, Method::GET | Method::HEAD);
        if !is_from_here || changes && !self.is_own_origin(&asked.headers, host) {
            return Err(Refused::Origin);
        }
        Ok(if by_token { Visitor::New } else { Visitor::Known })
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| {
            pair.trim().split_once('=').filter(|(name, _)| *name == self.cookie_name)
        });
        pairs.any(|(_, value)| same(value, &self.cookie))
    }

    /// Whether a page that was served as this host asks.
    fn is_own_origin(&self, headers: &HeaderMap, host: &str) -> bool {
        let mut origins = headers.get_all(ORIGIN).into_iter();
        let (first, second) = (origins.next(), origins.next());
        let origin = first.and_then(|origin| origin.to_str().ok());
        let is_host = |origin: &str| {
            let own = ["http://", "https://"].iter().find_map(|way| origin.strip_prefix(way));
            own.is_some_and(|own| own.eq_ignore_ascii_case(host))
        };
        second.is_none() && origin.is_some_and(is_host)
    }
}

/// The host that is asked, by all that name one.
fn host(asked: &Parts) -> Option<&str> {
    let mut named = asked.headers.get_all(HOST).into_iter();
    let (first, second) = (named.next()?, named.next());
    let host = first.to_str().ok()?;
    let agrees = asked.uri.authority().is_none_or(|named| named.as_str() == host);
    (second.is_none() && agrees).then_some(host)
}

/// Whether a host, with or without a port, is this machine's loopback address. The port may be
/// another one where a tunnel leads here.
fn is_this_machine(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, ""),
    };
    let is_port = port.bytes().all(|digit| digit.is_ascii_digit());
    is_port && ["127.0.0.1", "localhost", "[::1]"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Whether two secrets are the same, in a time that doesn't tell how much of them is.
fn same(given: &str, own: &str) -> bool {
    let differs = given.bytes().zip(own.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
    given.len() == own.len() && differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn asked(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn guard() -> Guard {
        let cookie_name = "pixelmill-7".to_owned();
        Guard { token: "t0ken".to_owned(), cookie: "c00kie".to_owned(), cookie_name }
    }

    const KNOWN: (&str, &str) = ("cookie", "other=1; pixelmill-7=c00kie");

    #[test]
    fn the_token_lets_in_at_the_page_alone() {
        let at = |uri| guard().admit(&asked("GET", uri, &[("host", "localhost:7")]));
        assert_eq!(at("/?token=t0ken"), Ok(Visitor::New));
        assert_eq!(at("/?path=%2Fd&token=t0ken"), Ok(Visitor::New));
        for uri in ["/", "/?token=", "/?token=t0ke", "/?token=t0ken1", "/api/info?token=t0ken"] {
            assert_eq!(at(uri), Err(Refused::Stranger), "{uri}");
        }
    }

    #[test]
    fn only_the_own_cookie_counts() {
        let with = |cookie| {
            let headers = [("host", "127.0.0.1:7"), ("cookie", cookie)];
            guard().admit(&asked("GET", "/api/info", &headers))
        };
        assert_eq!(with(KNOWN.1), Ok(Visitor::Known));
        for cookie in ["pixelmill-8=c00kie", "pixelmill-7=c00ki", "xpixelmill-7=c00kie", ""] {
            assert_eq!(with(cookie), Err(Refused::Stranger), "{cookie}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_served() {
        let as_host = |headers: &[(&str, &str)]| {
            guard().admit(&asked("GET", "/api/info", &[headers, &[KNOWN]].concat()))
        };
        for host in ["127.0.0.1:7", "localhost:9999", "LOCALHOST", "[::1]:7", "[::1]"] {
            assert_eq!(as_host(&[("host", host)]), Ok(Visitor::Known), "{host}");
        }
        let foreign =
            ["evil.example:7", "localhost.evil.example", "127.0.0.1.nip.io:7", "", "0.0.0.0:7"];
        for host in foreign.into_iter().chain(["127.0.0.1:7@evil.example", "localhost:x"]) {
            assert_eq!(as_host(&[("host", host)]), Err(Refused::Host), "{host}");
        }
        assert_eq!(as_host(&[]), Err(Refused::Host));
        assert_eq!(as_host(&[("host", "localhost"), ("host", "evil")]), Err(Refused::Host));
        let headers = [("host", "localhost:7"), KNOWN];
        let absolute = asked("GET", "http://evil.example/api/info", &headers);
        assert_eq!(guard().admit(&absolute), Err(Refused::Host));
    }

    #[test]
    fn what_changes_something_comes_from_the_page() {
        let from = |origins: &[(&str, &str)]| {
            let headers = [&[("host", "localhost:7"), KNOWN], origins].concat();
            guard().admit(&asked("POST", "/api/run", &headers))
        };
        assert_eq!(from(&[("origin", "http://localhost:7")]), Ok(Visitor::Known));
        for origin in
            ["http://localhost:8", "http://127.0.0.1:7", "null", "http://evil", "localhost:7"]
        {
            assert_eq!(from(&[("origin", origin)]), Err(Refused::Origin), "{origin}");
        }
        assert_eq!(from(&[]), Err(Refused::Origin));
        let twice = [("origin", "http://localhost:7"), ("origin", "http://evil")];
        assert_eq!(from(&twice), Err(Refused::Origin));
    }

    #[test]
    fn other_pages_may_only_lead_to_the_page() {
        let from = |uri: &str, site| {
            let headers = [("host", "localhost:7"), KNOWN, ("sec-fetch-site", site)];
            guard().admit(&asked("GET", uri, &headers))
        };
        assert_eq!(from("/api/info", "same-origin"), Ok(Visitor::Known));
        assert_eq!(from("/", "cross-site"), Ok(Visitor::Known));
        assert_eq!(from("/api/info", "same-site"), Err(Refused::Origin));
        assert_eq!(from("/main.js", "cross-site"), Err(Refused::Origin));
    }
}
