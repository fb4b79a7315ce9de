//! What stands between the sockets and the application: listening, bounds on connections, and a stream that lets
//! actix-http see well-formed requests alone.
//!
//! actix-http leaves four things open that clients and balancers rely on, and has no hook for them: it takes part in an
//! upgrade that no route wants, answers requests behind a closing one, answers malformed ones with an empty body, and
//! times only a connection's first head. [`stream`] closes them below the library; nothing here knows a route.

mod body;
mod connection;
mod descriptors;
mod head;
mod stream;

pub(crate) use connection::Fault;
pub use descriptors::DescriptorsError;
pub(crate) use descriptors::connections_that_fit;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{ConnectionType, HttpService, KeepAlive, Request, Response};
use actix_rt::net::TcpStream;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppConfig, Server, ServiceResponse};
use actix_web::{Error, HttpResponse};

use connection::Connection;
use stream::Stream;

/// How long a client may take to close after the last answer.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Where to listen, and what connections are granted.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) workers: usize,
    pub(crate) backlog: u32,
    /// Open connections over all workers; further ones wait in the backlog.
    pub(crate) connections_max: usize,
    pub(crate) keep_alive: Duration,
    /// How long a head may take: the first from the connection's start, the others from their first byte.
    pub(crate) head_timeout: Duration,
    /// How long requests under way may take once the server stops.
    pub(crate) drain_timeout_s: u64,
}

/// A server that begins to listen. `app` is called once in each worker, and `on_fault` answers for requests that cannot
/// be understood.
///
/// # Errors
/// When the address cannot be had.
pub(crate) fn listen<A, I, S, B, R>(
    listening: Listening,
    app: A,
    on_fault: R,
) -> io::Result<(SocketAddr, Server)>
where
    A: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
    R: Fn(Fault) -> HttpResponse + Clone + Send + 'static,
{
    let Listening { address, workers, backlog, connections_max, keep_alive, head_timeout, drain_timeout_s } =
        listening;
    let listener = TcpListener::bind(address)?;
    // std chose a backlog of its own; listening again on the same socket sets ours.
    rustix::net::listen(&listener, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    let address = listener.local_addr()?;
    let server = Server::build()
        .workers(workers)
        .max_concurrent_connections((connections_max / workers).max(1))
        .shutdown_timeout(drain_timeout_s)
        .disable_signals();
    let stop = server.graceful_shutdown_signal();
    let server = server.listen("http", listener, move || {
        let stop = stop.clone();
        let http = HttpService::build()
            .keep_alive(KeepAlive::Timeout(keep_alive))
            .client_request_timeout(Duration::ZERO) // The stream times heads, each of them.
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .graceful_shutdown_signal(move || {
                let stop = stop.clone();
                async move { stop.notified().await }
            })
            .on_connect_ext(|stream: &Stream<TcpStream>, data| {
                data.insert(stream.connection().clone());
            })
            .h1(with_faults_answered(map_config(app(), |()| AppConfig::default()), on_fault.clone()));
        let accept = move |io: TcpStream| async move {
            io.set_nodelay(true).map_err(DispatchError::Io)?;
            let peer = io.peer_addr().ok();
            Ok((Stream::new(io, head_timeout), peer))
        };
        fn_service(accept).and_then(http)
    })?;
    Ok((address, server.run()))
}

/// The application, which also answers for requests that cannot be understood, and tells the connection of each answer.
fn with_faults_answered<S, B>(
    app: impl ServiceFactory<
        Request,
        Config = (),
        Response = ServiceResponse<B>,
        Error = Error,
        Service = S,
        InitError: std::fmt::Debug,
    >,
    on_fault: impl Fn(Fault) -> HttpResponse + Clone,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = Response<BoxBody>,
    Error = Error,
    InitError: std::fmt::Debug,
>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    apply_fn_factory(app, move |request: Request, app: &S| {
        let connection = request.conn_data::<Connection>().cloned().unwrap_or_default();
        let closes = request.head().connection_type() == ConnectionType::Close;
        let answer = match connection.take_fault() {
            Some(fault) => Err(Response::from(on_fault(fault))),
            None => Ok(app.call(request)),
        };
        answered(answer, connection, closes)
    })
}

async fn answered<B: MessageBody + 'static>(
    answer: Result<impl Future<Output = Result<ServiceResponse<B>, Error>>, Response<BoxBody>>,
    connection: Connection,
    closes: bool,
) -> Result<Response<BoxBody>, Error> {
    let mut response = match answer {
        Ok(answer) => match answer.await {
            Ok(response) => Response::from(response.map_into_boxed_body()),
            Err(error) => Response::from(error),
        },
        Err(response) => response,
    };
    let is_last = closes || response.head().connection_type() == ConnectionType::Close;
    if is_last {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    connection.answered(is_last);
    Ok(response)
}
