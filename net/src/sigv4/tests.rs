//! Published vectors, each verified and then refused in every mutation; refusals one by one; client against server.

mod botocore;
mod client;
mod examples;
mod refusals;
mod request;
mod suite;
