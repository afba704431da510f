# SPDX-License-Identifier: MIT
# Ruby's Process.spawn and Process.wait2.
folder, leaf = ENV['HOST_FOLDER'], ENV['HOST_LEAF']
run = lambda do |statuses|
  pids = statuses.map { |status| [spawn(leaf, status.to_s), status] }
  pids.map { |pid, status| Process.wait2(pid)[1].exitstatus == status }
end
run.call([0])
File.write(folder + '/ready', '')
told = run.call((100...120).to_a)
told += run.call([3]) until File.exist?(folder + '/done')
puts "own #{told.count(true)} right, #{told.count(false)} wrong"
