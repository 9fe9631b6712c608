//! The connector: REST calls at `serviceUrl` (`protocol/http.md` §2).
