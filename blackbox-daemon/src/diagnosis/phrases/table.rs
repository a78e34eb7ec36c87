//! The phrases: what programs say of their errors, by cause. Data.
//!
//! They are what C libraries, runtimes and well-known libraries print (strerror(3), gai_strerror(3), the runtimes' own
//! sources), never what one program prints. The order is the order of decision: a line that names a time-out of a name lookup
//! is about the name.

use crate::diagnosis::Code;

/// A cause, and its phrases with `|` between. One in small letters is found anywhere, whatever the case; one that begins with
/// a capital only as whole words.
pub(super) const PHRASES: &[(Code, &str)] = &[
    (
        Code::Tls,
        "certificate verify failed|certificate_verify_failed|certificate has expired|\
         certificate is not yet valid|certificate signed by unknown authority|self signed certificate|\
         self-signed certificate|unable to get local issuer certificate|\
         unable to verify the first certificate|invalid peer certificate|pkix path building failed|\
         sslhandshakeexception|x509: |tls: |[ssl:|ssl error|ssl routines|ssl handshake|tls handshake|\
         tlsv1 alert|wrong_version_number|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|\
         UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_HAS_EXPIRED|ERR_TLS_CERT_ALTNAME_INVALID|EPROTO",
    ),
    (
        Code::Dns,
        "dial tcp: lookup|name or service not known|temporary failure in name resolution|\
         no address associated with hostname|nodename nor servname provided|name does not resolve|\
         no such host|could not resolve host|couldn't resolve host|could not translate host name|\
         failed to lookup address information|unknownhostexception|getaddrinfo|dns lookup failed|\
         name resolution failed|host not found|server misbehaving|ENOTFOUND|EAI_AGAIN|EAI_NONAME",
    ),
    (
        Code::ThreadLimit,
        "can't start new thread|unable to create native thread|unable to create new native thread|\
         failed to create new os thread|failed to spawn thread|pthread_create failed|\
         pthread_create: resource|fork: retry|cannot fork|can't fork|fork failed|\
         fork: resource temporarily unavailable",
    ),
    (
        Code::HeapLimit,
        "java.lang.outofmemoryerror|system.outofmemoryexception|js heap out of memory|javascript heap out of memory|\
         reached heap limit|outofmemoryerror: java heap space|\
         outofmemoryerror: gc overhead limit exceeded|outofmemoryerror: metaspace|\
         outofmemoryerror: direct buffer memory|requested array size exceeds vm limit|\
         allowed memory size of|heap exhausted",
    ),
    (
        Code::StackOverflow,
        "maximum recursion depth exceeded|has overflowed its stack|stack overflow|stackoverflowerror|\
         goroutine stack exceeds|maximum call stack size exceeded|stack level too deep",
    ),
    (
        Code::HeapCorruption,
        "double free|free(): invalid|munmap_chunk(): invalid|malloc(): |malloc_consolidate(): |\
         realloc(): invalid|corrupted size vs. prev_size|corrupted double-linked list|\
         corrupted unsorted chunks|heap-use-after-free|heap-buffer-overflow|heap corruption detected|\
         attempting free on address|chunk is corrupted",
    ),
    (Code::Deadlock, "all goroutines are asleep - deadlock"),
    (Code::SegvNull, "nil pointer dereference"),
    (
        Code::DiskFull,
        "no space left on device|disk quota exceeded|database or disk is full|\
         not enough space on the disk|ENOSPC|EDQUOT",
    ),
    (
        Code::ReadOnly,
        "read-only file system|attempt to write a readonly database|EROFS",
    ),
    (
        Code::FdExhausted,
        "too many open files|no file descriptors available|EMFILE|ENFILE",
    ),
    (
        Code::PortInUse,
        "was already in use|is already in use|address already in use|address in use|\
         only one usage of each socket address|port is already allocated|EADDRINUSE",
    ),
    (
        Code::ConnRefused,
        "connection refused|connectionrefusederror|connect call failed|actively refused|ECONNREFUSED",
    ),
    (
        Code::Unreachable,
        "no route to host|network is unreachable|host is unreachable|EHOSTUNREACH|ENETUNREACH",
    ),
    (
        Code::ConnTimeout,
        "timeouterror|sockettimeoutexception|read timed out|request timed out|connection timed out|\
         connect timed out|connect timeout|connection timeout|connecttimeout|operation timed out|\
         dial tcp: i/o timeout|i/o timeout|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT",
    ),
    (
        Code::Auth,
        "error 401|http 401|status 401|status code 401|status=401|403 forbidden|error 403|\
         password authentication failed|authentication failed|access denied for user|invalid password|\
         wrongpass|noauth authentication required|401 unauthorized|invalid credentials",
    ),
    (
        Code::ConnReset,
        "connection reset by peer|socket hang up|server closed the connection unexpectedly|ECONNRESET",
    ),
    (
        Code::ExecFailed,
        "symbol lookup error|exec format error|command not found|executable file not found|\
         bad interpreter|cannot execute|ENOEXEC",
    ),
    (
        Code::Permission,
        "permission denied|operation not permitted|access is denied|EACCES|EPERM",
    ),
    (
        Code::MissingFile,
        "no such file or directory|cannot open shared object file|nosuchfileexception|\
         filenotfoundexception|cannot find module|modulenotfounderror|cannot load such file|ENOENT|\
         ERR_MODULE_NOT_FOUND",
    ),
    (
        Code::AllocFailed,
        "cannot allocate memory|bad_alloc|memory allocation of|MemoryError|out of memory|ENOMEM",
    ),
    (Code::IoError, "input/output error|EIO"),
    // EAGAIN: of a call that starts a thread or a process. Of others, programs say nothing.
    (Code::ThreadLimit, "resource temporarily unavailable"),
    (
        Code::Uncaught,
        "uncaughtexception|uncaught exception|unhandledrejection|unhandled rejection|unhandled exception",
    ),
    (
        Code::Config,
        "parameter not set|parameter null or not set|unbound variable|cannot unmarshal|not found in type|unrecognized argument|unrecognized option|unrecognized flag|unknown option|unknown flag|\
         unknown argument|unexpected argument|invalid option|illegal option|bad option|\
         flag provided but not defined|following arguments are required|\
         following required arguments were not provided|missing required|required environment variable|\
         environment variable is not set|environment variable not found|must be set|is required but|\
         is not set|are not set|is not specified|failed to configure|application failed to start|\
         invalid configuration|invalid config|configuration error|config error|error in configuration|\
         configuration file|bad configuration|unknown directive|unknown key|unknown field|\
         invalid value for|invalid value '|yaml.scanner.|yaml.parser.|error parsing yaml|yaml: line|\
         tomldecodeerror|toml parse error|configparser.|configuration property|\
         could not resolve placeholder|[emerg]",
    ),
];
