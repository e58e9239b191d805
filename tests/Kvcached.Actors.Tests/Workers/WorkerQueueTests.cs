using Kvcached.Actors.Workers;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;

namespace Kvcached.Actors.Tests.Workers;

public class WorkerQueueTests
{
    private readonly WorkerQueue _queue = new();

    [Fact]
    public void Operations_should_be_numbered_from_one_without_gaps_and_anew_on_each_connection()
    {
        Add(0);
        Add(0);
        Assert.Equal([1, 2], SendAll());

        _queue.Reset();
        Add(0);

        Assert.Equal([1], SendAll());
    }

    [Fact]
    public void Only_so_many_operations_should_be_on_their_way()
    {
        for (var i = 0; i < WorkerQueue.MaxOperationsInFlight + 2; i++)
        {
            Add(0);
        }

        Assert.Equal(WorkerQueue.MaxOperationsInFlight, SendAll().Count);
        Assert.NotNull(_queue.Answered(1));
        Assert.Equal([WorkerQueue.MaxOperationsInFlight + 1], SendAll());
        Assert.Equal(1, _queue.WaitingCount);
    }

    [Fact]
    public void Only_so_many_descriptors_should_be_on_their_way()
    {
        Add(WorkerQueue.MaxDescriptorsInFlight - 1);
        Add(1);
        Add(1);
        Assert.Equal([1, 2], SendAll());
        Assert.Empty(SendAll());

        Assert.NotNull(_queue.Answered(1));

        Assert.Equal([3], SendAll());
    }

    [Fact]
    public void Operation_with_more_descriptors_than_allowed_should_go_alone()
    {
        Add(1);
        Add(WorkerQueue.MaxDescriptorsInFlight + 1);
        Add(1);
        Assert.Equal([1], SendAll());

        _queue.Answered(1);

        Assert.Equal([2], SendAll());
        _queue.Answered(2);
        Assert.Equal([3], SendAll());
    }

    [Fact]
    public void Answers_should_count_in_order_and_once()
    {
        var first = Add(0);
        Add(0);
        SendAll();

        Assert.Null(_queue.Answered(2));
        Assert.Null(_queue.Answered(0));
        Assert.Equal(first, _queue.Answered(1)!.Ticket);
        Assert.Null(_queue.Answered(1));
        Assert.Equal(1, _queue.SentCount);
    }

    [Fact]
    public void Only_what_was_not_sent_should_be_taken_back()
    {
        var sent = Add(0);
        SendAll();
        var waiting = Add(0);

        Assert.False(_queue.TryCancel(sent));
        Assert.True(_queue.TryCancel(waiting));
        Assert.False(_queue.TryCancel(waiting));
        Assert.Empty(SendAll());
    }

    [Fact]
    public void Last_unmap_of_an_extent_should_be_found_whether_sent_or_waiting()
    {
        var sent = Add(0, WorkerOperationKind.Unmap, page: 3);
        SendAll();
        Add(0, WorkerOperationKind.Map, page: 4);

        Assert.Equal(sent, _queue.FindUnmap(ExtentAt(3)));
        Assert.Equal(0, _queue.FindUnmap(ExtentAt(4)));
        _queue.Answered(1);
        Assert.Equal(0, _queue.FindUnmap(ExtentAt(3)));
    }

    private static Extent ExtentAt(int page) => new(0, new PageId(page), 0, 1);

    private long Add(int descriptors, WorkerOperationKind kind = WorkerOperationKind.Map, int page = 0) => _queue.Add(new WorkerOperation(
        kind, new Epoch(1, 1), 1, EngineStep.None, [new LentExtent(ExtentAt(page), new ExtentIdentity(new HostIncarnation(1), 1, 1))], [], descriptors));

    private List<long> SendAll()
    {
        var numbers = new List<long>();
        while (_queue.NextToSend() is { } next)
        {
            _queue.Sent(next);
            numbers.Add(next.Number);
        }

        return numbers;
    }
}
