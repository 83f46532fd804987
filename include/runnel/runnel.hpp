// Everything of runnel but net, http, posix, broker, asio and testing.
#pragma once

#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/diag.hpp>
#include <runnel/future.hpp>
#include <runnel/go.hpp>
#include <runnel/patterns.hpp>
#include <runnel/rate.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/sync.hpp>
#include <runnel/time.hpp>
