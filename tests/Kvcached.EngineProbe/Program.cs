using Kvcached.EngineProbe;

// One command a line on stdin, one JSON answer a line on stdout; the end of input ends the process in good order.
Dictionary<string, Func<ProbeCommand, ProbeAnswer>> commands = new(StringComparer.Ordinal);
using var scheduler = new SchedulerCommands(commands);
using var worker = new WorkerCommands(commands);
ReaderCommands.AddTo(commands);
ProcessCommands.AddTo(commands);
while (Console.ReadLine() is { } line)
{
    ProbeAnswer answer;
    try
    {
        var command = ProbeCommand.Parse(line);
        answer = commands.TryGetValue(command.Verb, out var run) ? run(command) : ProbeAnswer.Failed("Unknown", $"There is no command '{command.Verb}'.");
    }
    catch (Exception e)
    {
        // The test sees it; the process lives on so that it can be asked what is left.
        answer = ProbeAnswer.Failed(e.GetType().Name, e.ToString());
    }

    Console.WriteLine(answer.ToJson());
    Console.Out.Flush();
}

return 0;
