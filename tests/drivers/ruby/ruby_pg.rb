# frozen_string_literal: true

# pg, the driver under ActiveRecord and Sequel: named statements deallocated by SQL, pipelines,
# single rows, COPY, large objects, cancelling.

require 'pg'
require_relative 'plan'

def with_client
  client = PG.connect(ENV.fetch('GREENPOOL_DSN'))
  yield client
ensure
  client&.close
end

# Ask as ActiveRecord does: prepare a text once, then execute it by its name.
def ask_named(client, names, asked)
  unless names.include?(asked.number)
    client.prepare("a#{asked.number}", asked.text)
    names << asked.number
  end
  expect(client.exec_prepared("a#{asked.number}", asked.parameters).values, [asked.answer])
end

def ask(client, asked)
  expect(client.exec_params(asked.text, asked.parameters).values, [asked.answer])
end

def fails(error)
  yield
rescue error
  nil
else
  raise "it did not fail with #{error}"
end

def fail_somehow(client, random)
  if random.rand(2).zero?
    fails(PG::DivisionByZero) { client.exec_params('select 1 / $1::int', [0]) }
  else
    fails(PG::SyntaxError) { client.prepare("bad#{random.rand(1_000_000)}", 'selct $1') }
  end
end

def transact(client, names, random)
  pid = -> { client.exec('select pg_backend_pid()').getvalue(0, 0) }
  client.exec('begin')
  first = pid.call
  ask_named(client, names, Question.draw(random))
  client.exec('savepoint s')
  fail_somehow(client, random)
  client.exec('rollback to s')
  ask_named(client, names, Question.draw(random))
  expect(pid.call, first)
  client.exec(%w[commit rollback].sample(random: random))
end

def clients_ask_at_random
  together do |random|
    with_client do |client|
      names = []
      QUERIES.times do
        case random.rand(100)
        when 0...60 then ask_named(client, names, Question.draw(random))
        when 60...80 then ask(client, Question.draw(random))
        when 80...90 then fail_somehow(client, random)
        else transact(client, names, random)
        end
      end
    end
  end
end

def statements_are_deallocated
  together do |random, number|
    with_client do |client|
      20.times do |turn|
        asked = Question.draw(random, 1000 * number + turn)
        client.exec('begin') if turn.odd?
        client.prepare('mine', asked.text)
        expect(client.exec_prepared('mine', asked.parameters).values, [asked.answer])
        client.exec('DEALLOCATE mine')
        client.exec('commit') if turn.odd?
      end
      fails(PG::InvalidSqlStatementName) { client.exec_prepared('mine', [1, 'x']) }
    end
  end
end

def settings_follow_their_client
  together do |random, number|
    with_client do |client|
      client.exec("set work_mem = '#{100 + number}MB'")
      client.exec("set time zone 'Etc/GMT+#{number}'")
      20.times do
        ask(client, Question.draw(random))
        expect(client.exec('show work_mem').getvalue(0, 0), "#{100 + number}MB")
        expect(client.parameter_status('TimeZone'), "Etc/GMT+#{number}")
        expect(client.exec('show timezone').getvalue(0, 0), "Etc/GMT+#{number}")
      end
    end
  end
end

def pipelines
  together do |random|
    with_client do |client|
      client.enter_pipeline_mode
      asked = Array.new(BATCH) { Question.draw(random) }
      broken = random.rand(BATCH)
      asked.each_with_index do |each, index|
        client.send_query_params(index == broken ? 'select 1/0' : each.text,
                                 index == broken ? [] : each.parameters)
        client.pipeline_sync
      end
      asked.each_with_index do |each, index|
        if index == broken
          fails(PG::DivisionByZero) { client.get_result.check }
        else
          expect(client.get_result.check.values, [each.answer])
        end
        expect(client.get_result, nil)
        expect(client.get_result.result_status, PG::PGRES_PIPELINE_SYNC)
      end
      client.exit_pipeline_mode
      ask(client, Question.draw(random))
    end
  end
end

def rows_one_by_one
  with_client do |client|
    client.send_query_params('select n from generate_series(1, $1::int) n', [5000])
    client.set_single_row_mode
    seen = []
    while (result = client.get_result)
      result.check
      result.each_row { |row| seen << row[0].to_i }
    end
    expect(seen, (1..5000).to_a)
  end
end

def copies_both_ways
  lines = (1..5000).map { |n| "#{n}\trow #{n}\n" }
  with_client do |client|
    client.transaction do
      client.exec('create temp table copied (n int, t text) on commit drop')
      client.copy_data('copy copied from stdin') { lines.each { |line| client.put_copy_data(line) } }
      got = []
      client.copy_data('copy (select n, t from copied order by n) to stdout') do
        while (line = client.get_copy_data)
          got << line
        end
      end
      expect(got, lines)
    end
    fails(PG::BadCopyFileFormat) do
      client.exec('create table numbers (n int, t text)')
      client.copy_data('copy numbers from stdin') { client.put_copy_data("1\n") }
    end
    expect(client.exec('select count(*) from numbers').getvalue(0, 0), '0')
  end
end

def large_objects
  data = Random.new(SEED).bytes(BIG)
  with_client do |client|
    oid = client.transaction do
      oid = client.lo_create(0)
      handle = client.lo_open(oid, PG::INV_WRITE)
      expect(client.lo_write(handle, data), BIG)
      client.lo_close(handle)
      oid
    end
    client.transaction do
      handle = client.lo_open(oid, PG::INV_READ)
      read = +''
      while (part = client.lo_read(handle, 65_536)) && !part.empty?
        read << part
      end
      expect(read.b == data, true)
      client.lo_unlink(oid)
    end
  end
end

def long_queries_are_cancelled
  together do |random, number|
    with_client do |client|
      5.times do
        client.send_query("select pg_sleep(600), #{number}")
        client.block(0.01 * random.rand)
        # As for a direct connection, what comes before the query begins to run is without effect.
        until client.is_busy == false
          expect(client.cancel, nil)
          client.block(0.05)
        end
        fails(PG::QueryCanceled) { client.get_last_result }
        ask(client, Question.draw(random))
      end
    end
  end
end

def a_large_parameter
  with_client do |client|
    value = 'g' * BIG
    row = client.exec_params('select $1::text, length($1::text)', [value]).values[0]
    expect(row, [value, BIG.to_s])
  end
end

def more_texts_than_a_server_holds
  together do |random|
    with_client do |client|
      names = []
      texts = DISTINCT / CLIENTS * 2
      texts.times { |number| ask_named(client, names, Question.draw(random, number)) }
      50.times { ask_named(client, names, Question.draw(random, random.rand(texts))) }
    end
  end
end

play(
  :clients_ask_at_random,
  :statements_are_deallocated,
  :settings_follow_their_client,
  :pipelines,
  :rows_one_by_one,
  :copies_both_ways,
  :large_objects,
  :long_queries_are_cancelled,
  :a_large_parameter,
  :more_texts_than_a_server_holds
)
