//! An S3-compatible store of the tests' own on loopback: objects, parts, lists, ranges. It takes what is signed by
//! anybody, keeps all in memory, and fails or falsifies on request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is in the store, and what goes wrong.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    /// One byte of each object written from now on is turned around.
    pub(crate) falsifies: bool,
    /// The line is cut after some requests, if it is.
    pub(crate) cut: Option<Cut>,
    /// Requests that were answered.
    pub(crate) answered: usize,
    /// Parts that arrived, of all uploads.
    pub(crate) parts_taken: usize,
    uploads_begun: u32,
}

/// The end of a line: from some request on none is answered.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    /// So many are answered before.
    pub(crate) after: usize,
    /// Whether the next one is still done, though its answer is lost.
    pub(crate) is_done: bool,
}

#[derive(Clone)]
pub(crate) struct S3 {
    pub(crate) address: SocketAddr,
    contents: Arc<Mutex<Contents>>,
}

struct Request {
    method: String,
    /// Without the slash and the bucket.
    key: String,
    query: BTreeMap<String, String>,
    range: Option<(usize, usize)>,
    body: Vec<u8>,
}

impl S3 {
    /// Listens on a port of its own until the tests end.
    pub(crate) fn start() -> S3 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let s3 = S3 { address: listener.local_addr().unwrap(), contents: Arc::default() };
        let serving = s3.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream.unwrap()));
            }
        });
        s3
    }

    /// What the program needs to find it.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        let variables = [
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "x"),
            ("AWS_ACCESS_KEY_ID", "tester"),
            ("AWS_SECRET_ACCESS_KEY", "not a secret"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Contents) -> T) -> T {
        look(&mut self.contents.lock().unwrap())
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some(request) = read_request(&mut reader) {
            let (status, headers, body) = self.with(|contents| contents.answer_or_not(&request));
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n");
            let sent = stream.write_all(head.as_bytes());
            let body = if request.method == "HEAD" { &[][..] } else { &body[..] };
            if sent.and_then(|()| stream.write_all(body)).is_err() {
                return;
            }
        }
    }
}

const MODIFIED: &str = "Last-Modified: Tue, 24 Nov 2026 20:00:00 GMT\r\nETag: \"e\"\r\n";

impl Contents {
    fn answer_or_not(&mut self, request: &Request) -> (&'static str, String, Vec<u8>) {
        if let Some(cut) = &mut self.cut {
            if cut.after == 0 {
                if std::mem::take(&mut cut.is_done) {
                    drop(self.answer(request));
                }
                // A refusal, which no client tries to get over.
                return ("403 Forbidden", String::new(), Vec::new());
            }
            cut.after -= 1;
        }
        self.answered += 1;
        self.answer(request)
    }

    fn answer(&mut self, request: &Request) -> (&'static str, String, Vec<u8>) {
        let Request { method, key, query, body, .. } = request;
        let none = || ("404 Not Found", String::new(), b"<Error><Code>NoSuchKey</Code></Error>".to_vec());
        let fine = |body: String| ("200 OK", MODIFIED.to_owned(), body.into_bytes());
        match (method.as_str(), query.get("uploadId")) {
            ("GET", _) if query.contains_key("list-type") => fine(self.list(query)),
            ("GET" | "HEAD", _) => match self.objects.get(key) {
                None => none(),
                Some(object) => match request.range {
                    None => ("200 OK", MODIFIED.to_owned(), object.clone()),
                    Some((from, to)) => {
                        let to = to.min(object.len() - 1);
                        let range =
                            format!("{MODIFIED}Content-Range: bytes {from}-{to}/{}\r\n", object.len());
                        ("206 Partial Content", range, object[from..=to].to_vec())
                    }
                },
            },
            ("PUT", Some(upload)) => {
                let part = query["partNumber"].parse().unwrap();
                let Some(parts) = self.uploads.get_mut(upload) else { return none() };
                parts.insert(part, body.clone());
                self.parts_taken += 1;
                ("200 OK", format!("ETag: \"{part}\"\r\n"), Vec::new())
            }
            ("POST", Some(upload)) => {
                let Some(parts) = self.uploads.remove(upload) else { return none() };
                self.put(key, parts.into_values().flatten().collect());
                fine(
                    "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
                        .to_owned(),
                )
            }
            ("POST", None) if query.contains_key("uploads") => {
                self.uploads_begun += 1;
                let upload = format!("u{}", self.uploads_begun);
                self.uploads.insert(upload.clone(), BTreeMap::new());
                fine(format!(
                    "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
                ))
            }
            ("POST", None) if query.contains_key("delete") => {
                let text = String::from_utf8_lossy(body).into_owned();
                let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
                keys.for_each(|key| drop(self.objects.remove(key)));
                let deleted = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
                let deleted = deleted.map(|key| format!("<Deleted><Key>{key}</Key></Deleted>"));
                fine(format!("<DeleteResult>{}</DeleteResult>", deleted.collect::<String>()))
            }
            ("PUT", None) => {
                self.put(key, body.clone());
                fine(String::new())
            }
            ("DELETE", _) => {
                self.objects.remove(key);
                ("204 No Content", String::new(), Vec::new())
            }
            _ => ("400 Bad Request", String::new(), Vec::new()),
        }
    }

    /// What begun uploads become when nobody ends them in time.
    pub(crate) fn forget_uploads(&mut self) {
        self.uploads.clear();
    }

    fn put(&mut self, key: &str, mut object: Vec<u8>) {
        if self.falsifies
            && let Some(byte) = object.last_mut()
        {
            *byte ^= 1;
        }
        self.objects.insert(key.to_owned(), object);
    }

    fn list(&self, query: &BTreeMap<String, String>) -> String {
        let prefix = query.get("prefix").map_or("", String::as_str);
        let below = |key: &&String| key.strip_prefix(prefix).is_some_and(|rest| !rest.contains('/'));
        let items = self.objects.keys().filter(below).map(|key| {
            let len = self.objects[key].len();
            format!(
                "<Contents><Key>{key}</Key><Size>{len}</Size><ETag>e</ETag>\
                 <LastModified>2026-11-24T20:00:00.000Z</LastModified></Contents>"
            )
        });
        format!("<ListBucketResult>{}</ListBucketResult>", items.collect::<String>())
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    let mut next_line = |reader: &mut BufReader<TcpStream>| {
        line.clear();
        reader.read_line(&mut line).ok().filter(|&read| read > 0).map(|_| line.trim_end().to_owned())
    };
    let first = next_line(reader)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut len, mut range) = (0, None);
    loop {
        let header = next_line(reader)?;
        let Some((name, value)) = header.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => len = value.parse().ok()?,
            "range" => {
                let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
                range = Some((from.parse().ok()?, to.parse().ok()?));
            }
            _ => {}
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key).to_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.replace("%2F", "/"))
    });
    Some(Request { method, key, query: pairs.collect(), range, body })
}
