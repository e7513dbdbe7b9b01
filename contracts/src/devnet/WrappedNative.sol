// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @title Wrapped native token for local chains.
/// @notice Works like the wrapped tokens that fee quoting expects on public chains. Not for production.
contract WrappedNative {
    string public constant name = "Wrapped Native";
    string public constant symbol = "WNAT";
    uint8 public constant decimals = 18;

    /// @notice Balance of each holder.
    mapping(address holder => uint256) public balanceOf;
    /// @notice What a spender may take from a holder; the largest uint256 is never used up.
    mapping(address holder => mapping(address spender => uint256)) public allowance;

    event Approval(address indexed holder, address indexed spender, uint256 amount);
    event Transfer(address indexed from, address indexed to, uint256 amount);
    event Deposit(address indexed to, uint256 amount);
    event Withdrawal(address indexed from, uint256 amount);

    error InsufficientBalance(uint256 balance, uint256 needed);
    error InsufficientAllowance(uint256 allowance, uint256 needed);
    error PaymentRefused(address to);

    /// @notice Wrap what was sent.
    receive() external payable {
        deposit();
    }

    /// @notice Wrap the value of the call.
    function deposit() public payable {
        balanceOf[msg.sender] += msg.value;
        emit Deposit(msg.sender, msg.value);
    }

    /// @notice Unwrap.
    /// @param amount How much, in wei.
    function withdraw(uint256 amount) external {
        _debit(msg.sender, amount);
        emit Withdrawal(msg.sender, amount);
        (bool ok,) = msg.sender.call{value: amount}("");
        if (!ok) revert PaymentRefused(msg.sender);
    }

    /// @notice Every wrapped token is backed by the balance of this contract.
    function totalSupply() external view returns (uint256) {
        return address(this).balance;
    }

    /// @notice Let `spender` take up to `amount` of the caller's tokens.
    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    /// @notice Move tokens of the caller.
    function transfer(address to, uint256 amount) external returns (bool) {
        return transferFrom(msg.sender, to, amount);
    }

    /// @notice Move tokens of `from`, by itself or by a spender that it approved.
    function transferFrom(address from, address to, uint256 amount) public returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (from != msg.sender && allowed != type(uint256).max) {
            if (allowed < amount) revert InsufficientAllowance(allowed, amount);
            allowance[from][msg.sender] = allowed - amount;
        }
        _debit(from, amount);
        balanceOf[to] += amount;
        emit Transfer(from, to, amount);
        return true;
    }

    function _debit(address from, uint256 amount) private {
        uint256 balance = balanceOf[from];
        if (balance < amount) revert InsufficientBalance(balance, amount);
        balanceOf[from] = balance - amount;
    }
}
