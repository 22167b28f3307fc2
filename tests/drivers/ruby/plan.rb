# frozen_string_literal: true

# What the scenes of ruby_pg.rb do alike: random queries whose answers are known. The numbers are
# those of tests/drivers/python/plan.py.

CLIENTS = 12
QUERIES = 150
TEXTS = 40
DISTINCT = 2000
BATCH = 200
BIG = 1 << 20
SEED = ENV.fetch('GREENPOOL_SEED', '1').to_i

def expect(got, wanted)
  raise "#{got.inspect[0, 300]} is not #{wanted.inspect[0, 300]}" unless got == wanted
end

# A query whose text depends on `number`, its parameters, and the row that must come back.
Question = Struct.new(:number, :value, :word) do
  def self.draw(random, number = random.rand(TEXTS))
    new(number, random.rand(-1000...1000), "w#{random.rand(1_000_000)}")
  end

  def text
    "select $1::int + #{number}, $2::text || '-#{number}'"
  end

  def parameters
    [value, word]
  end

  def answer
    [(value + number).to_s, "#{word}-#{number}"]
  end
end

# Run the block in CLIENTS threads at a time, each with random numbers of its own.
def together
  threads = Array.new(CLIENTS) do |client|
    Thread.new do
      Thread.current.report_on_exception = false
      yield Random.new(SEED * 1000 + client), client
    end
  end
  threads.each(&:join)
end

# Play the scenes in order and name each one.
def play(*scenes)
  $stdout.sync = true
  scenes.each do |scene|
    puts "#{scene} ..."
    send(scene)
  end
  puts 'done'
end
